//! Numbers of lines, as editors count them.

/// Counts the lines of a text, from its beginning on.
pub(super) struct LineNumbers<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl<'t> LineNumbers<'t> {
    /// Before the first line.
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The number of the line at this byte, or of the next line that is not empty. Bytes must be asked in order.
    pub(super) fn at(&mut self, byte: usize) -> u64 {
        while let Some(letter) = self.text.get(self.at)
            && (self.at < byte || matches!(letter, b'\r' | b'\n'))
        {
            let ends = *letter == b'\n' || *letter == b'\r' && self.text.get(self.at + 1) != Some(&b'\n');
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

//! What commands print. A reader that has seen enough, as `head` has, is no failure.

use std::io::{self, Write};

use anyhow::Context as _;
use postern_runtime::plain;

/// Writes lines for people to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write_to(&mut io::stdout().lock(), &plain::lines(text)).context("cannot write to standard output")
}

/// Writes JSON to standard output.
pub(super) fn print_json(text: &str) -> anyhow::Result<()> {
    write_to(&mut io::stdout().lock(), &plain::json(&format!("{text}\n"))).context("cannot write to standard output")
}

fn write_to(output: &mut impl Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_left_is_no_failure_and_a_full_disk_is() {
        assert!(write_to(&mut Failing(io::ErrorKind::BrokenPipe), "text").is_ok());
        let full = write_to(&mut Failing(io::ErrorKind::StorageFull), "text").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
}

//! Unsigned LEB128 numbers, the only number format inside a chunk.

/// Appends `value`, seven bits a byte, lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Takes a number off the front of `input`; `None` when it is cut short, longer than 64 bits, or
/// spelt with more bytes than it needs.
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut shift = 0;
    loop {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            // A longer spelling of the same number would hash differently: each has exactly one.
            return (byte > 0 || shift == 0).then_some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// Takes a number that counts or measures something in memory.
pub(crate) fn take_len(input: &mut &[u8]) -> Option<usize> {
    take(input).and_then(|value| usize::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for value in [0, 1, 127, 128, 300, 1 << 32, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, value);
            let mut input = out.as_slice();
            assert_eq!(take(&mut input), Some(value));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(take(&mut [0x81_u8, 0x00].as_slice()), None);
        assert_eq!(take(&mut [0x80_u8, 0x80, 0x00].as_slice()), None);
        assert_eq!(take(&mut [0x00_u8].as_slice()), Some(0));
    }

    #[test]
    fn a_number_cut_short_or_too_long_is_refused() {
        assert_eq!(take(&mut [0x80_u8, 0x80].as_slice()), None);
        assert_eq!(take(&mut [0xff_u8; 11].as_slice()), None);
        assert_eq!(take(&mut [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02_u8].as_slice()), None);
    }
}

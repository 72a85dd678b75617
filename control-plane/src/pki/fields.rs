//! Fields of certificates: serial numbers, times, fingerprints.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::SerialNumber;

/// How far before its issue a certificate is valid, for agents whose clock is behind.
pub(super) const BACKDATE: Duration = Duration::from_hours(1);

/// 127 random bits: positive, and never with a leading zero byte, which DER would drop.
pub(super) fn random_serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn add(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn subtract(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_sub(by).unwrap_or(Timestamp::UNIX_EPOCH)
}

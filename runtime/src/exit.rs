//! Exit codes that scripts and service units may rely on.

/// Something failed; the log or standard error says what.
pub const FAILURE: u8 = 1;

/// The configuration is wrong; starting again without changing it is useless (`EX_USAGE` of sysexits.h).
pub const CONFIG: u8 = 64;

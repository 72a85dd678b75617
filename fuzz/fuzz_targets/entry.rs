//! See `targets::entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| postern_fuzz::targets::entry(bytes));

//! Which build of the software this is.

/// What `--version` prints: version, commit and how it was built. The packager sets `POSTERN_BUILD`.
pub const VERSION: &str = match option_env!("POSTERN_BUILD") {
    Some(build) => build,
    None => concat!(env!("CARGO_PKG_VERSION"), " (not a released build; commit unknown)"),
};

//! What the reference says of a table of the file and of its keys.

/// One table of the file.
pub(super) struct Section {
    /// Its header as it stands in the file; nothing for the top.
    pub(super) header: &'static str,
    /// What environment variables have between the prefix and the key.
    pub(super) variables: &'static str,
    /// What it is for.
    pub(super) meaning: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What its value is.
    pub(super) form: &'static str,
    pub(super) default: Default,
    pub(super) meaning: &'static str,
}

/// What holds where a key is not set.
#[derive(Clone, Copy)]
pub(super) enum Default {
    /// This value, in TOML.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
    /// The key must be set.
    Required,
}

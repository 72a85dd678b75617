//! What a sealed password is bound to.

use super::{Error, Header, VERSION};

/// The user and what is wanted. A sealed password opens with the same values only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The name of the directory, as the agent serves it.
    pub directory: &'a str,
    /// The external id of the user's account there.
    pub external_id: &'a str,
    /// Whether the user must change the password at the next sign-in.
    pub must_change: bool,
}

impl Binding<'_> {
    /// The bytes that are authenticated with the password: the header without the encapsulated key, which HPKE binds
    /// itself, and then these values.
    pub(super) fn aad(&self, header: &Header) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&header.key.0);
        bytes.extend_from_slice(&header.id);
        bytes.extend_from_slice(&header.expires_at_ms.to_be_bytes());
        bytes.push(self.must_change.into());
        for text in [self.directory, self.external_id] {
            let length = u16::try_from(text.len()).map_err(|_| Error::Binding)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Ok(bytes)
    }
}

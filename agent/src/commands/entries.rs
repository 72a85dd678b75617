//! Reads what changes name: entries, and texts that may be unset.

use postern_proto::{limits, v1};

use crate::failure::{Code, Failure};
use crate::served::write;

/// The control plane has asked for something that makes no sense.
pub(super) fn wrong(message: &str) -> Failure {
    Failure::new(Code::Invalid, message)
}

/// A text that may be unset.
pub(super) fn text(text: &str) -> Result<Option<String>, Failure> {
    if text.len() > limits::MAX_DN_BYTES {
        return Err(wrong("a name of the operation is too long"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// An entry that is known by its external id or its DN.
pub(super) fn subject(reference: &v1::EntryReference) -> Result<write::Subject, Failure> {
    let (external_id, dn) = (text(&reference.external_id)?, text(&reference.dn)?);
    if external_id.is_none() && dn.is_none() {
        return Err(wrong("an entry of the operation has neither an external id nor a DN"));
    }
    Ok(write::Subject { external_id, dn })
}

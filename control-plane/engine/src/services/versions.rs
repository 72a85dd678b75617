//! Versions of objects, so that a change is refused that is based on an older one (RFC 9110 §13.1.1).

use std::fmt::Debug;

use jiff::Timestamp;
use postern_store::AuditFilter;
use uuid::Uuid;

use super::access::Access;
use super::error::{Error, Message, Result};
use crate::records::PageRequest;

/// The version of an object: it differs whenever anything of it does.
pub fn of(object: &impl Debug) -> String {
    let hash = blake3::hash(format!("{object:?}").as_bytes()).to_hex();
    hash.get(..16).unwrap_or_default().to_owned()
}

/// Whether a version is one of those that the caller knows: entity tags, or `*` for any.
pub(super) fn fits(known: &str, version: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_matches('"') == version)
}

/// The refusal, with who changed the object and when.
pub(super) async fn changed(access: Access<'_>, what: &str, id: Uuid, at: Timestamp) -> Result<Error> {
    let filter = AuditFilter { object_id: Some(id), ..AuditFilter::default() };
    let last = access.store().list_audit(access.organization(), &filter, &PageRequest::first(1)).await?;
    let by = match last.items.first() {
        Some(entry) if entry.note.at >= at => {
            format!("{} changed it at {} ({})", entry.note.actor_name, entry.note.at, entry.note.action)
        }
        _ => format!("an import changed it at {at}"),
    };
    let message = Message::new(format!("The {what} has changed since you read it: {by}."));
    Ok(Error::Outdated(message.cure(format!("Read the {what} again, and change what it is now."))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_fits_itself_and_a_star() {
        let version = of(&("anna", 1));
        assert_ne!(version, of(&("anna", 2)));
        for known in [format!("\"{version}\""), format!("\"x\", \"{version}\""), "*".to_owned()] {
            assert!(fits(&known, &version), "{known}");
        }
        for known in ["\"\"", "", "W/\"x\""] {
            assert!(!fits(known, &version), "{known}");
        }
    }
}

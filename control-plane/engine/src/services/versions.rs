//! Versions of objects, so that a change is refused that is based on an older one (RFC 9110 §13.1.1).

use std::collections::BTreeSet;
use std::fmt::Debug;

use jiff::Timestamp;
use postern_store::{AuditFilter, AuditNote};
use serde_json::Value;
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
            let AuditNote { actor_name, at, action, before, after, .. } = &entry.note;
            let fields = different(before.as_ref(), after.as_ref());
            let what = if fields.is_empty() { "it".to_owned() } else { fields.join(", ") };
            format!("{actor_name} changed {what} at {at} ({action})")
        }
        _ => format!("an import changed it at {at}"),
    };
    let message = Message::new(format!("The {what} has changed since you read it: {by}."));
    Ok(Error::Outdated(message.cure(format!("Read the {what} again, and change what it is now."))))
}

/// Refuses to restore an object that is not the one that the caller knows: it was restored and deleted again meanwhile.
pub(super) fn same_deleted(
    known: Option<&str>,
    what: &str,
    deleted: &impl Debug,
    (at, by): (Timestamp, &str),
) -> Result<()> {
    if known.is_none_or(|known| fits(known, &of(deleted))) {
        return Ok(());
    }
    let message = Message::new(format!("The {what} is not the deleted one that you know: {by} deleted it at {at}."));
    Err(Error::Outdated(message.cure(format!("`postern {what}s deleted` shows those that there are now."))))
}

/// The names of the fields that two values of an object do not share.
fn different(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else { return Vec::new() };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
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

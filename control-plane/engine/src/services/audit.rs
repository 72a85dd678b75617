//! The audit log: who changed what.

use jiff::Timestamp;
use postern_store::{AuditFilter as StoredFilter, AuditHead, AuditVerdict};
use uuid::Uuid;

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::pages::{Listed, listed};
use super::rights::Right;
use crate::records::{AuditEntry, PageRequest};

/// The audit log, for somebody who may read it.
#[derive(Debug)]
pub struct Audit<'s>(Access<'s>);

/// Which entries of the log are wanted. Unset: all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Id or name of the one who made the change.
    pub actor: Option<String>,
    /// An action, like `token.revoked`, or all of an object, like `token`.
    pub action: Option<String>,
    /// Id or name of the object.
    pub object: Option<String>,
    /// Changes made at this time or later.
    pub since: Option<Timestamp>,
    /// Changes made before this time.
    pub until: Option<Timestamp>,
}

impl Services {
    /// Opens the audit log.
    pub fn audit<'s>(&'s self, actor: &'s Actor) -> Result<Audit<'s>> {
        self.open(actor, Right::ReadAudit).map(Audit)
    }
}

impl Audit<'_> {
    /// Entries, the latest first.
    pub async fn list(&self, filter: &AuditFilter, request: &PageRequest) -> Result<Listed<AuditEntry>> {
        let object_id = filter.object.as_deref().and_then(|object| object.parse::<Uuid>().ok());
        let filter = StoredFilter {
            actor: filter.actor.clone(),
            action: filter.action.as_deref().map(whole_or_prefix),
            object: filter.object.clone().filter(|_| object_id.is_none()),
            object_id,
            since: filter.since,
            until: filter.until,
        };
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_audit(organization, &filter, request).await?;
        listed(request, page, store.total_audit(organization, &filter)).await
    }

    /// Reads the whole log and says whether it is as it was written. `known` is an end that was noted earlier, as
    /// `SEQ:HASH`.
    pub async fn verify(&self, known: Option<&str>) -> Result<AuditVerdict> {
        let known =
            known.map(|text| head(text).ok_or_else(|| Error::query("known", "it must be SEQ:HASH"))).transpose()?;
        Ok(self.0.store().verify_audit(self.0.organization(), known).await?)
    }
}

/// A part of an action, like `token`, means all actions that start so.
fn whole_or_prefix(action: &str) -> String {
    if action.contains('.') { action.to_owned() } else { format!("{action}.") }
}

/// The end of a log as people note it: place and hash.
pub fn head_text(seq: u64, hash: [u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{seq}:");
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn head(text: &str) -> Option<AuditHead> {
    let (seq, hex) = text.split_once(':')?;
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(AuditHead { seq: seq.parse().ok()?, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_it_was_written() {
        let end = AuditHead { seq: 12, hash: std::array::from_fn(|place| u8::try_from(place * 8).unwrap_or(255)) };
        assert_eq!(head(&head_text(end.seq, end.hash)), Some(end));
        for wrong in ["", "12", "12:", "12:ab", "x:00", &format!("1:{}", "é".repeat(32))] {
            assert_eq!(head(wrong), None, "{wrong}");
        }
    }
}

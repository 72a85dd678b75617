//! Whether an audit log is as it was written.

use crate::Store;
use crate::audit::{AT_ONCE, read, select_entries};
use crate::audit_chain::{self, AuditHead};
use crate::error::Result;
use crate::ids::OrganizationId;
use crate::records::Room;
use crate::sql::{Row, signed, sql};

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// So many entries were read.
    pub entries: u64,
    /// The last entry that is no longer kept; its place is 0 while all are.
    pub anchor: AuditHead,
    /// Where the log ended when the verification began.
    pub head: AuditHead,
    /// The first fault. `None`: the log is whole.
    pub fault: Option<AuditFault>,
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// The entry of this place does not fit its hash, or the one before it: one of them was edited or replaced.
    Changed(u64),
    /// The entry of this place is not there.
    Missing(u64),
    /// The entry of this place is before the beginning or behind the end of the log.
    Foreign(u64),
    /// Entries up to this place are gone, and no later entry says that they became too old.
    Anchor(u64),
    /// The known end has this place, which is no longer kept: the log cannot be compared with it.
    NotKept(u64),
}

impl Store {
    /// Reads the whole log and says whether it is as it was written. `known` is an end that was noted earlier: the log
    /// must still contain it.
    pub async fn verify_audit(&self, organization: OrganizationId, known: Option<AuditHead>) -> Result<AuditVerdict> {
        loop {
            let verdict = self.walk_audit(organization, known).await?;
            // Entries that became too old meanwhile are no fault.
            if verdict.fault.is_none() || self.audit_ends(organization).await?.anchor == verdict.anchor {
                return Ok(verdict);
            }
        }
    }

    async fn walk_audit(&self, organization: OrganizationId, known: Option<AuditHead>) -> Result<AuditVerdict> {
        let Ends { anchor, head, foreign } = self.audit_ends(organization).await?;
        let mut verdict = AuditVerdict { entries: 0, anchor, head, fault: None };
        let (mut last, mut explained) = (anchor, anchor.seq == 0);
        if let Some(known) = known.filter(|known| known.seq <= anchor.seq && *known != anchor) {
            let other = known.seq == anchor.seq;
            let fault = if other { AuditFault::Changed(known.seq) } else { AuditFault::NotKept(known.seq) };
            return Ok(AuditVerdict { fault: Some(fault), ..verdict });
        }
        loop {
            let query = sql(select_entries!("seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4"))
                .bind(organization)
                .bind(signed(last.seq))
                .bind(signed(head.seq))
                .bind(AT_ONCE);
            let found = self.database.rows_within(query, &mut Room::default(), read(organization)).await?;
            if found.is_empty() {
                break;
            }
            for entry in found {
                let seq = last.seq + 1;
                if entry.seq != seq {
                    return Ok(AuditVerdict { fault: Some(AuditFault::Missing(seq)), ..verdict });
                }
                let hash = audit_chain::hash(&last.hash, seq, &entry.note);
                if hash != entry.hash || known.is_some_and(|known| known.seq == seq && known.hash != hash) {
                    return Ok(AuditVerdict { fault: Some(AuditFault::Changed(seq)), ..verdict });
                }
                explained |= audit_chain::explains(&entry.note, anchor);
                last = AuditHead { seq, hash };
                verdict.entries += 1;
            }
        }
        if last.seq < head.seq || known.is_some_and(|known| known.seq > head.seq) {
            verdict.fault = Some(AuditFault::Missing(last.seq + 1));
        } else if last != head {
            verdict.fault = Some(AuditFault::Changed(last.seq));
        } else if let Some(seq) = foreign {
            verdict.fault = Some(AuditFault::Foreign(seq));
        } else if !explained {
            verdict.fault = Some(AuditFault::Anchor(anchor.seq));
        }
        Ok(verdict)
    }

    async fn audit_ends(&self, organization: OrganizationId) -> Result<Ends> {
        let query = sql("SELECT h.anchor_seq, h.anchor_hash, h.seq, h.hash, \
             (SELECT min(a.seq) FROM audit a WHERE a.organization_id = $1 AND a.seq <= coalesce(h.anchor_seq, 0)), \
             (SELECT max(a.seq) FROM audit a WHERE a.organization_id = $1 AND a.seq > coalesce(h.seq, 0)) \
             FROM (SELECT 1 AS one) o LEFT JOIN audit_heads h ON h.organization_id = $1");
        let read = |mut row: Row| {
            let anchor = (row.take::<Option<u64>>()?, row.take::<Option<[u8; 32]>>()?);
            let head = (row.take::<Option<u64>>()?, row.take::<Option<[u8; 32]>>()?);
            let foreign = row.take::<Option<i64>>()?.or(row.take::<Option<i64>>()?);
            let end = |(seq, hash): (Option<u64>, Option<[u8; 32]>)| AuditHead {
                seq: seq.unwrap_or(0),
                hash: hash.unwrap_or(audit_chain::START),
            };
            let foreign = foreign.map(|seq| u64::try_from(seq).unwrap_or(0));
            Ok(Ends { anchor: end(anchor), head: end(head), foreign })
        };
        let none = AuditHead { seq: 0, hash: audit_chain::START };
        let none = Ends { anchor: none, head: none, foreign: None };
        Ok(self.database.row(query.bind(organization), read).await?.unwrap_or(none))
    }
}

/// What is kept of the ends of a log.
struct Ends {
    anchor: AuditHead,
    head: AuditHead,
    /// The place of an entry that is outside of both.
    foreign: Option<u64>,
}

//! Where the members of a group come from, and whether that directory is asked to change them.

use std::collections::{HashMap, HashSet};

use postern_store::{Identities, PendingChange};
use serde_json::json;
use uuid::Uuid;

use super::access::Access;
use super::error::{Message, Result};
use super::write_through;
use crate::records::{GroupId, IdentityId, PendingId, TargetId};

/// What came of a change of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberOutcome {
    /// It is a member now.
    Added,
    /// It was a member already.
    WasMember,
    /// It is no member any more.
    Removed,
    /// It was no member.
    WasNoMember,
    /// The directory that the members come from was asked to make the change. It shows when the directory has made it.
    Pending,
    /// The organization has no such user or group.
    NotFound,
    /// It cannot be done.
    Refused(Message),
}

/// The source of a group's members.
#[derive(Default)]
pub(super) struct Source {
    /// The directories that have the group, for people. `None`: it is the organization's own.
    holders: Option<String>,
    /// The one of them that takes changes.
    through: Option<TargetId>,
    /// Users and groups with an account there.
    there: HashSet<Uuid>,
    /// What it is asked for already.
    asked: HashMap<Uuid, bool>,
}

impl Source {
    pub(super) async fn of(
        access: Access<'_>,
        tx: &mut Identities,
        group: GroupId,
        holders: Option<String>,
        members: &[Uuid],
    ) -> Result<Self> {
        if holders.is_none() {
            return Ok(Self::default());
        }
        let accounts = access.store().accounts_of(access.organization(), group.as_uuid()).await?;
        let mut inbound = accounts.iter().filter(|account| account.missing_since.is_none() && !account.outbound);
        let (Some(account), None) = (inbound.next(), inbound.next()) else {
            return Ok(Self { holders, ..Self::default() });
        };
        if !write_through::is_on(access, account.target).await? {
            return Ok(Self { holders, ..Self::default() });
        }
        let there = tx.with_accounts_in(account.target, members).await?;
        let pending = tx.pending_members(group, members).await?.into_iter().filter(|it| it.refused.is_none());
        let asked = pending.filter_map(|it| Some((it.what.parse().ok()?, it.wanted == json!(true)))).collect();
        Ok(Self { holders, through: Some(account.target), there, asked })
    }

    pub(super) fn is_asked(&self, member: Uuid, wanted: bool) -> bool {
        self.asked.get(&member) == Some(&wanted)
    }

    pub(super) fn add(&self, member: Uuid) -> MemberOutcome {
        match &self.holders {
            None => MemberOutcome::Added,
            Some(_) if self.through.is_some() && self.there.contains(&member) => MemberOutcome::Pending,
            Some(directory) if self.through.is_some() => {
                let message = Message::new(format!(
                    "It has no account in {directory}, where the members of this group come from."
                ));
                MemberOutcome::Refused(message.cure("Provision or import it first."))
            }
            Some(directories) => MemberOutcome::Refused(at_the_source(directories)),
        }
    }

    /// The removal of a member that a directory names.
    pub(super) fn remove(&self) -> MemberOutcome {
        match &self.holders {
            Some(_) if self.through.is_some() => MemberOutcome::Pending,
            Some(directories) => MemberOutcome::Refused(at_the_source(directories)),
            None => MemberOutcome::Refused(
                Message::new("The directory that named this member is deleted.")
                    .cure("Delete the group, and make a new one."),
            ),
        }
    }

    /// What the directory is asked for.
    pub(super) fn asked(
        &self,
        access: Access<'_>,
        group: GroupId,
        member: Uuid,
        wanted: bool,
    ) -> Option<PendingChange> {
        Some(PendingChange {
            id: PendingId::new(),
            target: self.through?,
            identity: IdentityId::Group(group),
            what: member.to_string(),
            wanted: json!(wanted),
            asked_at: access.now(),
            asked_by: access.actor().who.name().to_owned(),
            refused: None,
        })
    }
}

fn at_the_source(directories: &str) -> Message {
    Message::new(format!("The members of this group come from {directories}.")).cure(format!(
        "Change them in {directories}, then import; or make a group of your own. An owner can have such changes written \
         there: write-through in `postern provisioning set`."
    ))
}

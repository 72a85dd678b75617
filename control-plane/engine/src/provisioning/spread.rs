//! Whom the change of a group's members concerns beside the group: the groups that it is nested in, whose members change
//! with it, and the users within a group that joined or left another, who may get an account or lose it.

use jiff::Timestamp;
use postern_store::{GroupId, IdentityId, Mark, MemberIdentity, PageRequest};

use uuid::Uuid;

use super::load::Target;
use super::settings::Assignment;

/// Users and groups that are marked in one transaction.
const AT_ONCE: u32 = 1_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

impl Target {
    /// Marks all whom these marks of groups concern. It may be repeated.
    pub(super) async fn spread(&self, marks: &[Mark], now: Timestamp) -> Result<()> {
        let mut done = Vec::new();
        for mark in marks.iter().filter(|mark| mark.members_changed || mark.has_moved) {
            let IdentityId::Group(group) = mark.identity else { continue };
            if mark.members_changed {
                // Those that are marked already are compared all the same: groups in a circle would mark each other for ever.
                let mut above = self.groups_above(group.as_uuid()).await?;
                above.retain(|above| !marks.iter().any(|mark| mark.identity == *above));
                self.mark(&above, now).await?;
            }
            if mark.has_moved && matches!(self.settings.assignment, Assignment::Groups { .. }) {
                self.mark_within(group, now).await?;
            }
            done.push(mark.clone());
        }
        if done.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin_identities(self.provisioning.organization, now).await?;
        tx.end_spread(self.id(), &done).await?;
        tx.commit().await
    }

    /// The groups that a user or group is a member of, directly or through others.
    pub(super) async fn groups_above(&self, member: Uuid) -> Result<Vec<IdentityId>> {
        let (mut page, mut above) = (PageRequest::first(AT_ONCE), Vec::new());
        loop {
            let found = match self.store.list_effective_groups(self.provisioning.organization, member, &page).await {
                // So deeply nested that nobody can tell them.
                Err(postern_store::Error::Conflict { .. }) => return Ok(above),
                found => found?,
            };
            above.extend(found.items.iter().map(|group| IdentityId::Group(group.id)));
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(above),
            }
        }
    }

    /// The users within a group.
    async fn mark_within(&self, group: GroupId, now: Timestamp) -> Result<()> {
        let mut page = PageRequest::first(AT_ONCE);
        loop {
            let found = match self.store.list_effective_members(self.provisioning.organization, group, &page).await {
                Err(postern_store::Error::Conflict { .. }) => return Ok(()),
                found => found?,
            };
            let user = |member: &postern_store::Member| match member.identity {
                Some(MemberIdentity::User { id, .. }) => Some(IdentityId::User(id)),
                _ => None,
            };
            self.mark(&found.items.iter().filter_map(user).collect::<Vec<_>>(), now).await?;
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn mark(&self, identities: &[IdentityId], now: Timestamp) -> Result<()> {
        if identities.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin_identities(self.provisioning.organization, now).await?;
        tx.mark(self.id(), identities).await?;
        tx.commit().await
    }
}

//! The members that a group should have in the target, beside those that it has.

use std::collections::{HashMap, HashSet};

use postern_store::{
    Account, GroupId, IdentityId, Member, MemberAccount, MemberForm, MemberIdentity, PageRequest, PendingChange,
    TargetAccount, UserId,
};
use uuid::Uuid;

use super::change::Reference;
use super::compare::{Known, MembersDiffer};
use super::load::Target;
use super::write_through::{self, Asked};
use crate::identity::membership;

/// The most members of a group that are compared.
const MOST_MEMBERS: u32 = 100_000;
/// The most groups that are members of a group, and the members of such a group that are read at a time.
const MOST_NESTED: u32 = 10_000;
const AT_ONCE: u32 = 1_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

impl Target {
    /// The members of a group that differ; `own`: the organization has added some. From a group that comes from the target only those are removed that
    /// provisioning has added.
    pub(super) async fn members(
        &self,
        group: GroupId,
        account: Option<&TargetAccount>,
        own: bool,
    ) -> Result<MembersDiffer> {
        let sent = match account {
            Some(account) => self.store.outbound_members(account.account.id).await?,
            None => HashMap::new(),
        };
        if !own && sent.is_empty() {
            return Ok(MembersDiffer::default());
        }
        let own = if own { self.wanted_members(group).await? } else { Vec::new() };
        let inbound = account.filter(|account| !account.account.outbound);
        let mut known = if inbound.is_some() {
            self.named(group).await?
        } else {
            sent.iter().filter(|(_, sure)| **sure).map(|(name, _)| name.clone()).collect()
        };
        let mut wanted = HashSet::new();
        let mut differ = MembersDiffer::default();
        for member in own {
            let key = match self.form {
                MemberForm::UniqueValue => member.unique_value.clone().unwrap_or_default(),
                MemberForm::Dn | MemberForm::GroupNames => membership::dn_key(&member.dn),
            };
            wanted.insert(key.clone());
            if !known.remove(&key) {
                let external_id = member.external_key.to_text();
                differ.add.push(Reference { external_id, dn: member.dn, key, pending: None });
            }
        }
        // A name that a group may have goes too.
        let goes = |(name, sure): &(&String, &bool)| !wanted.contains(*name) && (!**sure || known.contains(*name));
        let mut gone: Vec<String> = sent.iter().filter(goes).map(|(name, _)| name.clone()).collect();
        gone.sort_unstable();
        // By the external id, too: somebody may have renamed or moved the entry since it was read.
        let mut accounts = self.store.accounts_named(self.provisioning.organization, self.id(), &gone).await?;
        let reference = |key: String| match accounts.remove(&key) {
            Some((id, dn)) => Reference { external_id: id.to_text(), dn, key, pending: None },
            None => Reference { dn: key.clone(), key, ..Reference::default() },
        };
        differ.remove = gone.into_iter().map(reference).collect();
        Ok(differ)
    }

    /// The accounts of a group's members. A group within it is a member itself where the target has it and names members by
    /// DN, or will; otherwise its users are members, those of the groups within it too.
    async fn wanted_members(&self, group: GroupId) -> Result<Vec<MemberAccount>> {
        let organization = self.provisioning.organization;
        let mut own =
            self.store.own_members_in(organization, self.id(), IdentityId::Group(group), MOST_MEMBERS).await?;
        if self.form == MemberForm::UniqueValue {
            own.retain(|member| matches!(member.identity, IdentityId::User(_)));
        }
        let mut known: HashSet<IdentityId> = own.iter().map(|member| member.identity).collect();
        for nested in self.store.own_groups_in(organization, group, MOST_NESTED).await? {
            if known.contains(&IdentityId::Group(nested)) || self.will_have(nested) {
                continue;
            }
            let mut page = PageRequest::first(AT_ONCE);
            while own.len() < MOST_MEMBERS as usize {
                let found = self.store.list_effective_members(organization, nested, &page).await?;
                let users: Vec<_> = found.items.iter().filter_map(user).collect();
                let accounts = self.store.member_accounts(organization, self.id(), &users).await?;
                own.extend(accounts.into_iter().filter(|member| known.insert(member.identity)));
                match found.next {
                    Some(next) => page.after = Some(next),
                    None => break,
                }
            }
        }
        if self.settings.leaving_then.remove_groups {
            own.retain(|member| !member.left);
        }
        Ok(own)
    }

    /// Whether a group will be made in the target, and be a member itself then.
    fn will_have(&self, group: GroupId) -> bool {
        let makes = self.settings.switches.create_groups && self.settings.groups.contains(&group.as_uuid());
        makes && self.form != MemberForm::UniqueValue
    }

    /// The names of the members that the target says a group has.
    async fn named(&self, group: GroupId) -> Result<HashSet<String>> {
        let (organization, directory) = (self.provisioning.organization, self.directory.id);
        let mut known = self.store.member_names(organization, directory, &[group]).await?;
        Ok(known.remove(&group).unwrap_or_default())
    }

    /// What becomes of the changes that somebody asked for.
    pub(super) async fn asked(
        &self,
        identity: IdentityId,
        pending: Vec<PendingChange>,
        known: Option<&Known>,
    ) -> Result<Asked> {
        let group = match identity {
            IdentityId::Group(group) if !pending.is_empty() => group,
            _ => return Ok(write_through::of_user(&pending, known, &self.rules, &self.settings)),
        };
        let mut members = Vec::with_capacity(pending.len());
        for pending in pending {
            let account = self.account_of_member(&pending).await?;
            members.push((pending, account));
        }
        Ok(write_through::of_group(&members, known, (&self.named(group).await?, self.form), &self.settings))
    }

    /// The account of a member in the target.
    async fn account_of_member(&self, pending: &PendingChange) -> Result<Option<Account>> {
        let Ok(id) = pending.what.parse() else { return Ok(None) };
        let either = [IdentityId::User(UserId::from_uuid(id)), IdentityId::Group(GroupId::from_uuid(id))];
        let found = self.store.accounts_in(self.provisioning.organization, self.id(), &either).await?;
        Ok(found.into_iter().map(|found| found.account).find(|account| account.missing_since.is_none()))
    }
}

fn user(member: &Member) -> Option<Uuid> {
    match member.identity {
        Some(MemberIdentity::User { id, .. }) => Some(id.as_uuid()),
        _ => None,
    }
}

//! What has to be done about users and groups of a target. How many they are does not change how many queries that takes;
//! only a group whose members are compared takes two of its own, because its members may be very many.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use postern_store::{
    Account, AccountId, GroupId, GroupRow, IdentityId, OwnedUser, PendingChange, PendingId, Switch, TargetAccount,
    UserId,
};
use serde_json::Value;
use uuid::Uuid;

use super::agreed::Agreed;
use super::change::{Attributes, Reference, Step};
use super::compare::{self, Known, Lifted, MembersDiffer};
use super::left::Left;
use super::load::Target;
use super::settings::Assignment;
use super::size;
use super::wanted::{Subject, Wanted, wanted};
use super::write_through::Asked;
use crate::identity::attributes::MASK;
use crate::identity::mapping::rules::RuleOf;
use crate::identity::profile;
use crate::intake::said::{self, SavedRules};
use crate::records::Flavour;

/// Decisions after which other tasks have their turn.
const STRETCH: usize = 64;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What has to be done about a user or group.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Its name.
    pub(super) name: String,
    /// The account that it has.
    pub(super) account: Option<AccountId>,
    /// Whether that gets nothing from the target, or there is none.
    pub(super) outbound: bool,
    /// Whether an administrator has disabled the user.
    pub(super) suspended: bool,
    /// Whether the user has left the account behind.
    pub(super) left: Left,
    /// Whether they enable an account that somebody else has disabled.
    pub(super) lifted: Option<Lifted>,
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// What failed, for people.
    pub(super) failed: Vec<String>,
    /// What somebody asked for and the target has already.
    pub(super) done: Vec<PendingId>,
    /// What somebody asked for and cannot be sent, with the reasons.
    pub(super) refused: Vec<(PendingId, String)>,
}

/// What was read of users and groups, to decide about them.
#[derive(Debug, Default)]
struct Facts {
    accounts: HashMap<Uuid, TargetAccount>,
    users: HashMap<UserId, OwnedUser>,
    groups: HashMap<GroupId, GroupRow>,
    /// Those whom the assigned groups have.
    in_group: HashSet<Uuid>,
    /// The fields of users that the target itself says.
    said: HashMap<UserId, Vec<String>>,
    /// The groups that the organization has added members to.
    with_members: HashSet<GroupId>,
    /// What somebody asked for.
    pending: HashMap<Uuid, Vec<PendingChange>>,
}

impl Target {
    /// What has to be done about each of up to 1,000 users and groups, in their order.
    pub(super) async fn decide_many(&self, identities: &[IdentityId], now: Timestamp) -> Result<Vec<Decision>> {
        let mut facts = self.facts(identities, now).await?;
        let mut decisions = Vec::with_capacity(identities.len());
        for (place, identity) in identities.iter().enumerate() {
            decisions.push(self.decision(*identity, &mut facts, now).await?);
            if place % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(decisions)
    }

    /// What is known of one user or group: the present account, the name, and what rules see.
    pub(super) async fn look(
        &self,
        identity: IdentityId,
        now: Timestamp,
    ) -> Result<(Option<TargetAccount>, Option<String>, Subject)> {
        let mut facts = self.facts(&[identity], now).await?;
        let account = facts.accounts.remove(&identity.as_uuid());
        let (name, subject) = match identity {
            IdentityId::User(id) => Self::user(id, &mut facts, now),
            IdentityId::Group(id) => self.group(id, &mut facts),
        };
        Ok((account, name, subject))
    }

    async fn facts(&self, identities: &[IdentityId], now: Timestamp) -> Result<Facts> {
        let (store, organization) = (&self.store, self.provisioning.organization);
        let mut accounts = HashMap::new();
        for found in store.accounts_in(organization, self.id(), identities).await? {
            // An account that is missing does not count, and of several the first one does.
            if let Some(identity) = found.account.identity.filter(|_| found.account.missing_since.is_none()) {
                accounts.entry(identity).or_insert(found);
            }
        }
        let mut pending: HashMap<Uuid, Vec<PendingChange>> = HashMap::new();
        for change in store.pending_in(organization, self.id(), identities).await? {
            pending.entry(change.identity.as_uuid()).or_default().push(change);
        }
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for identity in identities {
            match identity {
                IdentityId::User(id) => users.push(*id),
                IdentityId::Group(id) => groups.push(*id),
            }
        }
        let in_group = match &self.settings.assignment {
            Assignment::Groups { groups } => {
                let groups: Vec<GroupId> = groups.iter().copied().map(GroupId::from_uuid).collect();
                let users: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
                store.members_of_any(organization, &users, &groups).await?
            }
            _ => HashSet::new(),
        };
        let from_here = |user: &UserId| accounts.get(&user.as_uuid()).is_some_and(|found| !found.account.outbound);
        let said = self.said_by_target(users.iter().copied().filter(from_here).collect(), now).await?;
        let with_members = if self.settings.switches.sync_members {
            store.groups_with_own_members(organization, &groups).await?
        } else {
            HashSet::new()
        };
        let users = store.get_owned_users(organization, &users).await?;
        let groups = store.get_groups(organization, &groups).await?;
        Ok(Facts {
            accounts,
            users: users.into_iter().map(|user| (user.row.id, user)).collect(),
            groups: groups.into_iter().map(|group| (group.id, group)).collect(),
            in_group,
            said,
            with_members,
            pending,
        })
    }

    /// The fields of users that the target itself says.
    async fn said_by_target(&self, users: Vec<UserId>, now: Timestamp) -> Result<HashMap<UserId, Vec<String>>> {
        let accounts = self.store.present_accounts_of(self.provisioning.organization, &users).await?;
        let rules = SavedRules::of(&self.store, &accounts, &self.directories).await?;
        let mut by_user: HashMap<UserId, Vec<Account>> = HashMap::new();
        for account in accounts {
            if let Some(user) = account.identity {
                by_user.entry(UserId::from_uuid(user)).or_default().push(account);
            }
        }
        let of_user = |accounts: &[Account]| {
            let said = said::fields(&rules, accounts, &self.directories, now).into_iter();
            said.filter(|(_, directory)| *directory == self.directory.id).map(|(field, _)| field).collect()
        };
        Ok(by_user.into_iter().map(|(user, accounts)| (user, of_user(&accounts))).collect())
    }

    async fn decision(&self, identity: IdentityId, facts: &mut Facts, now: Timestamp) -> Result<Decision> {
        let account = facts.accounts.remove(&identity.as_uuid());
        let known = account.as_ref().map(|account| self.known(account, now));
        let (name, subject) = match identity {
            IdentityId::User(id) => Self::user(id, facts, now),
            IdentityId::Group(id) => self.group(id, facts),
        };
        let mut wanted: Wanted = wanted(&subject, &self.settings, &self.compiled, &self.rules, account.is_none());
        // Active Directory lets nobody be enabled without a password.
        wanted.needs_password = self.directory.flavour == Flavour::ActiveDirectory;
        let mut failed = std::mem::take(&mut wanted.failed);
        let left = match identity {
            IdentityId::User(_) => Left::of(&wanted, account.as_ref(), &self.settings),
            IdentityId::Group(_) => Left::No,
        };
        let mut steps = match identity {
            IdentityId::User(_) => compare::user(&wanted, known.as_ref(), &self.settings),
            IdentityId::Group(id) => {
                let own = facts.with_members.contains(&id);
                let members = if self.settings.switches.sync_members && subject.exists {
                    match self.members(id, account.as_ref(), own && (account.is_some() || subject.chosen)).await {
                        // Too many groups are nested in it.
                        Err(postern_store::Error::Conflict { what, source: None }) => {
                            failed.push(what);
                            MembersDiffer::default()
                        }
                        members => members?,
                    }
                } else {
                    MembersDiffer::default()
                };
                compare::group(&wanted, known.as_ref(), members, &self.settings)
            }
        };
        let pending = facts.pending.remove(&identity.as_uuid()).unwrap_or_default();
        let Asked { step, done, refused } = self.asked(identity, pending, known.as_ref()).await?;
        steps.extend(step);
        Ok(Decision {
            name: name.or_else(|| account.as_ref().map(|account| account.account.dn.clone())).unwrap_or_default(),
            outbound: account.as_ref().is_none_or(|account| account.account.outbound),
            account: account.map(|account| account.account.id),
            suspended: subject.suspended,
            left,
            lifted: compare::lifts(&steps, known.as_ref().filter(|known| known.outbound)),
            steps: size::divided(steps),
            failed,
            done,
            refused,
        })
    }

    fn user(id: UserId, facts: &mut Facts, now: Timestamp) -> (Option<String>, Subject) {
        let Some(OwnedUser { row: user, suspension, .. }) = facts.users.remove(&id) else {
            return (None, Subject { of: Some(RuleOf::Users), ..Subject::default() });
        };
        let mut fields = profile::values(&user);
        fields.insert("active".to_owned(), user.active.into());
        let subject = Subject {
            of: Some(RuleOf::Users),
            fields,
            exists: true,
            active: user.active,
            suspended: suspension.is_some_and(|suspension| suspension.until.is_none_or(|until| until > now)),
            in_group: facts.in_group.contains(&id.as_uuid()),
            chosen: false,
            from_target: facts.said.remove(&id).unwrap_or_default(),
        };
        (Some(user.user_name), subject)
    }

    fn group(&self, id: GroupId, facts: &mut Facts) -> (Option<String>, Subject) {
        let Some(group) = facts.groups.remove(&id) else {
            return (None, Subject { of: Some(RuleOf::Groups), ..Subject::default() });
        };
        let mut fields = BTreeMap::from([("display_name".to_owned(), Value::from(group.display_name.clone()))]);
        fields.extend(group.description.map(|text| ("description".to_owned(), Value::from(text))));
        let chosen = self.settings.groups.contains(&id.as_uuid());
        let subject =
            Subject { of: Some(RuleOf::Groups), fields, exists: true, active: true, chosen, ..Subject::default() };
        (Some(group.display_name), subject)
    }

    /// An account as it was last known.
    fn known(&self, found: &TargetAccount, now: Timestamp) -> Known {
        let account = &found.account;
        let enabled = match account.switch {
            Switch::Unknown => None,
            // Until when an account may be used is another matter than whether somebody has disabled it.
            switch => Some(switch != Switch::Off),
        };
        let due = found.left_at.and_then(|at| self.settings.deletion_due(at));
        Known {
            entry: Reference {
                external_id: account.external_key.to_text(),
                dn: account.dn.clone(),
                ..Reference::default()
            },
            attributes: texts(serde_json::from_str(&account.attributes).unwrap_or_default()),
            agreed: Agreed::read(&found.agreed),
            enabled,
            outbound: account.outbound,
            left: found.left_at.is_some(),
            overdue: due.is_some_and(|due| due <= now),
            disabled_here: found.disabled_here,
        }
    }
}

/// The attributes of which all values are texts, and none is masked.
pub(super) fn texts(attributes: Value) -> Attributes {
    let Value::Object(attributes) = attributes else { return Attributes::new() };
    let of = |values: Value| match values {
        Value::Array(values) => {
            values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        }
        _ => None,
    };
    let read = attributes.into_iter().filter_map(|(name, values)| Some((name, of(values)?)));
    read.filter(|(_, values)| !values.iter().any(|value| value == MASK)).collect()
}

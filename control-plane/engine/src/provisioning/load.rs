//! Reads the users and groups behind marks, and says what has to be done about each.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use postern_store::{
    AccountId, Directory, DirectoryId, GroupId, IdentityId, MappingDirection, MemberForm, OwnedUser, PageRequest,
    Provisioning, Store, Switch, TargetAccount, TargetId, UserId,
};
use serde_json::Value;

use super::change::{Attributes, Reference, Step};
use super::compare::{self, Known, MembersDiffer};
use super::settings::{Assignment, Compiled, Settings};
use super::wanted::{Subject, wanted};
use crate::identity::attributes::MASK;
use crate::identity::mapping::outbound::{self, Outbound};
use crate::identity::mapping::rules::RuleOf;
use crate::identity::{membership, profile};
use crate::intake::said;
use crate::records::Flavour;

/// The most members of a group that are compared.
const MOST_MEMBERS: u32 = 100_000;
/// The most directories of an organization.
const MOST_DIRECTORIES: u32 = 1_000;
/// The most groups of a user that are looked at.
const MOST_GROUPS: u32 = 1_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What all decisions about a target need.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) store: Store,
    pub(super) provisioning: Provisioning,
    pub(super) directory: Directory,
    pub(super) settings: Settings,
    /// Differs from today's once the settings, the rules or the sensitive attributes have changed.
    pub(super) stamp: Option<String>,
    compiled: Compiled,
    rules: Outbound,
    directories: Vec<Directory>,
    /// The attributes of the target that sensitive values of users go to, in lower case.
    secrets: HashSet<String>,
    form: MemberForm,
}

/// What has to be done about a user or group.
#[derive(Debug)]
pub(super) struct Decision {
    /// Its name.
    pub(super) name: String,
    /// The account that it has.
    pub(super) account: Option<AccountId>,
    /// Whether that gets nothing from the target, or there is none.
    pub(super) outbound: bool,
    /// Whether an administrator has disabled the user.
    pub(super) suspended: bool,
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// What failed, for people.
    pub(super) failed: Vec<String>,
}

impl Target {
    /// Reads the settings and rules of a target. `Err` of the inner result: they cannot be used, for people.
    pub(super) async fn open(store: &Store, provisioning: Provisioning) -> Result<std::result::Result<Self, String>> {
        let (organization, id) = (provisioning.organization, provisioning.target.directory());
        // First: what changes after it is noticed.
        let stamp = store.provisioning_stamp(organization, provisioning.target).await?;
        let provisioning = store.get_provisioning(organization, provisioning.target).await?.unwrap_or(provisioning);
        let Some(directory) = store.get_directory(organization, id).await? else {
            return Ok(Err("the directory does not exist".to_owned()));
        };
        let settings: Settings = match serde_json::from_value(provisioning.settings.clone()) {
            Ok(settings) => settings,
            Err(error) => return Ok(Err(format!("the settings cannot be read: {error}"))),
        };
        let compiled = match settings.compile() {
            Ok(compiled) => compiled,
            Err((field, reason)) => return Ok(Err(format!("{field}: {reason}"))),
        };
        let rules = match store.current_mapping(organization, id, MappingDirection::Outbound).await? {
            Some(saved) => serde_json::from_value(saved.rules).unwrap_or_default(),
            None => outbound::defaults(directory.flavour == Flavour::ActiveDirectory),
        };
        let rules = match Outbound::compile(&rules) {
            Ok(rules) => rules,
            Err(faults) => {
                return Ok(Err(faults.first().map_or_else(String::new, ToString::to_string)));
            }
        };
        let sensitive: Vec<String> = store
            .attribute_definitions(organization)
            .await?
            .into_iter()
            .filter(|defined| defined.sensitive)
            .map(|defined| profile::further(&defined.name))
            .collect();
        let secrets = rules.attributes_that_read(&sensitive).map(str::to_ascii_lowercase).collect();
        let directories = store.list_directories(organization, &PageRequest::first(MOST_DIRECTORIES)).await?.items;
        let form = store.member_form(organization, id).await?.unwrap_or(MemberForm::Dn);
        let target = Self {
            store: store.clone(),
            provisioning,
            directory,
            settings,
            stamp,
            compiled,
            rules,
            directories,
            secrets,
            form,
        };
        Ok(Ok(target))
    }

    /// The target's id.
    pub(super) fn id(&self) -> TargetId {
        self.provisioning.target
    }

    /// Whether the values of an attribute of the target are masked in reports.
    pub(super) fn is_secret(&self, attribute: &str) -> bool {
        self.secrets.contains(&attribute.to_ascii_lowercase())
    }

    /// What has to be done about a user or group.
    pub(super) async fn decide(&self, identity: IdentityId, now: Timestamp) -> Result<Decision> {
        let organization = self.provisioning.organization;
        let found = self.store.accounts_in(organization, self.id(), identity).await?;
        // An account that is missing does not count.
        let account = found.into_iter().find(|found| found.account.missing_since.is_none());
        let known = account.as_ref().map(|account| known(account, now));
        let (name, subject) = match identity {
            IdentityId::User(id) => self.user(id, account.as_ref(), now).await?,
            IdentityId::Group(id) => self.group(id).await?,
        };
        let mut wanted = wanted(&subject, &self.settings, &self.compiled, &self.rules);
        let failed = std::mem::take(&mut wanted.failed);
        let steps = match identity {
            IdentityId::User(_) => compare::user(&wanted, known.as_ref(), &self.settings),
            IdentityId::Group(id) => {
                let members = if self.settings.switches.sync_members && subject.exists {
                    self.members(id, account.as_ref()).await?
                } else {
                    MembersDiffer::default()
                };
                compare::group(&wanted, known.as_ref(), members, &self.settings)
            }
        };
        Ok(Decision {
            name: name.or_else(|| account.as_ref().map(|account| account.account.dn.clone())).unwrap_or_default(),
            outbound: account.as_ref().is_none_or(|account| account.account.outbound),
            account: account.map(|account| account.account.id),
            suspended: subject.suspended,
            steps,
            failed,
        })
    }

    async fn user(
        &self,
        id: UserId,
        account: Option<&TargetAccount>,
        now: Timestamp,
    ) -> Result<(Option<String>, Subject)> {
        let organization = self.provisioning.organization;
        let Some(OwnedUser { row: user, suspension, .. }) = self.store.get_owned_user(organization, id).await? else {
            return Ok((None, Subject { of: Some(RuleOf::Users), ..Subject::default() }));
        };
        let mut fields = profile::values(&user);
        fields.insert("active".to_owned(), user.active.into());
        let suspended = suspension.is_some_and(|suspension| suspension.until.is_none_or(|until| until > now));
        let in_group = match &self.settings.assignment {
            Assignment::Groups { groups } => self.is_in_one(id, groups).await?,
            _ => false,
        };
        let from_target = match account.filter(|account| !account.account.outbound) {
            Some(_) => self.said_by_target(id, now).await?,
            None => Vec::new(),
        };
        let subject = Subject {
            of: Some(RuleOf::Users),
            fields,
            exists: true,
            active: user.active,
            suspended,
            in_group,
            chosen: false,
            from_target,
        };
        Ok((Some(user.user_name), subject))
    }

    /// The fields of a user that the target itself says.
    async fn said_by_target(&self, user: UserId, now: Timestamp) -> Result<Vec<String>> {
        let accounts = self.store.accounts_of(self.provisioning.organization, user.as_uuid()).await?;
        let said = said::fields(&self.store, &accounts, &self.directories, now).await?;
        let own = |(_, directory): &(String, DirectoryId)| *directory == self.directory.id;
        Ok(said.into_iter().filter(own).map(|(field, _)| field).collect())
    }

    async fn is_in_one(&self, user: UserId, groups: &[uuid::Uuid]) -> Result<bool> {
        let page = PageRequest::first(MOST_GROUPS);
        let found = self.store.list_effective_groups(self.provisioning.organization, user.as_uuid(), &page).await?;
        Ok(found.items.iter().any(|group| groups.contains(&group.id.as_uuid())))
    }

    async fn group(&self, id: GroupId) -> Result<(Option<String>, Subject)> {
        let Some(group) = self.store.get_group(self.provisioning.organization, id).await? else {
            return Ok((None, Subject { of: Some(RuleOf::Groups), ..Subject::default() }));
        };
        let mut fields = BTreeMap::from([("display_name".to_owned(), Value::from(group.display_name.clone()))]);
        fields.extend(group.description.map(|text| ("description".to_owned(), Value::from(text))));
        let chosen = self.settings.groups.contains(&id.as_uuid());
        let subject =
            Subject { of: Some(RuleOf::Groups), fields, exists: true, active: true, chosen, ..Subject::default() };
        Ok((Some(group.display_name), subject))
    }

    /// The members of a group that differ. From a group that comes from the target nobody is removed.
    async fn members(&self, group: GroupId, account: Option<&TargetAccount>) -> Result<MembersDiffer> {
        let organization = self.provisioning.organization;
        let own = self.store.own_members_in(organization, self.id(), IdentityId::Group(group), MOST_MEMBERS).await?;
        let outbound = account.is_some_and(|account| account.account.outbound);
        let mut known = match account {
            Some(account) if outbound => self.store.outbound_members(account.account.id).await?,
            Some(_) => {
                let mut known = self.store.member_names(organization, self.directory.id, &[group]).await?;
                known.remove(&group).unwrap_or_default()
            }
            None => HashSet::new(),
        };
        let mut differ = MembersDiffer::default();
        for member in own {
            let key = match self.form {
                MemberForm::UniqueValue => member.unique_value.clone().unwrap_or_default(),
                MemberForm::Dn | MemberForm::GroupNames => membership::dn_key(&member.dn),
            };
            if !known.remove(&key) {
                differ.add.push(Reference { external_id: member.external_key.to_text(), dn: member.dn, key });
            }
        }
        if outbound {
            let mut gone: Vec<String> = known.into_iter().collect();
            gone.sort_unstable();
            differ.remove =
                gone.into_iter().map(|dn| Reference { external_id: String::new(), key: dn.clone(), dn }).collect();
        }
        Ok(differ)
    }
}

/// An account as it was last known.
fn known(found: &TargetAccount, now: Timestamp) -> Known {
    let account = &found.account;
    let enabled = match account.switch {
        Switch::Unknown => None,
        switch => Some(switch.is_on(now)),
    };
    Known {
        entry: Reference {
            external_id: account.external_key.to_text(),
            dn: account.dn.clone(),
            ..Reference::default()
        },
        attributes: texts(serde_json::from_str(&account.attributes).unwrap_or_default()),
        agreed: texts(found.agreed.clone()),
        enabled,
        outbound: account.outbound,
    }
}

/// The attributes of which all values are texts.
fn texts(attributes: Value) -> Attributes {
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

//! Tries mapping rules on one account before they are saved: on the stored account, or on the entry as an agent reads it
//! now. Nothing is written; reading now is a look-up, and stays among the jobs as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use postern_store::Comparison;
use serde_json::{Map, Value};

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Message, Result};
use super::jobs::JobRequest;
use super::known_directories::find;
use super::mapping::{compiled, defaults, effect, rules_of};
use super::rights::Right;
use super::{resolve, sources};
use crate::identity::attributes::MASK;
use crate::identity::mapping::definitions::Definitions;
use crate::identity::mapping::rules::{Rule, RuleOf, Rules};
use crate::identity::profile;
use crate::identity::stored::StoredAccount;
use crate::identity::trial::{self, Trial};
use crate::intake::effect::Effect;
use crate::intake::place::Place;
use crate::intake::tried;
use crate::jobs::failure::Failure;
use crate::kinds::found::LookupUserResult;
use crate::kinds::lookup_user;
use crate::records::{
    Account, AccountId, AccountKind, Directory, ExternalKey, GroupId, Job, JobId, JobState, MappingDirection, Switch,
    UserId,
};

/// How long a preview waits for an agent's answer. A request to the API may take 30 seconds.
const WAIT: Duration = Duration::from_secs(20);
/// How often to look without a wake-up, because wake-ups may be lost.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Previews of rules, for somebody who may save them.
#[derive(Debug)]
pub struct MappingPreviews<'s> {
    access: Access<'s>,
    services: &'s Services,
    actor: &'s Actor,
}

/// What to try.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// Whether it is about a user or a group.
    pub of: RuleOf,
    /// The name or id of the user or group, or what names its account. Where an agent reads it now, the value of the unique
    /// attribute will also do.
    pub named: String,
    /// The rules. `None`: those that are saved.
    pub rules: Option<Vec<Rule>>,
    /// Whether an agent reads the entry now. Only for users.
    pub live: bool,
}

/// What rules make of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The directory.
    pub directory: Directory,
    /// The version of the saved rules, 0 where none are saved. `None`: the rules came with the request.
    pub version: Option<u32>,
    /// The account; as it was read now, if so.
    pub account: Account,
    /// The look-up that has read it now. `None`: it is the stored account.
    pub job: Option<JobId>,
    /// What the rules read and give.
    pub trial: Trial,
    /// The user or group as it is now. `None`: there is none yet.
    pub before: Option<BTreeMap<String, Value>>,
    /// The user or group as it would be. What fails keeps its last good value.
    pub after: BTreeMap<String, Value>,
    /// The earlier directory that has the user, and whose values come first. `None`: there is none.
    pub provided_by: Option<String>,
}

impl Services {
    /// Opens previews of rules.
    pub fn preview_mappings<'s>(&'s self, actor: &'s Actor) -> Result<MappingPreviews<'s>> {
        let access = self.open(actor, Right::ChangeDirectories)?;
        Ok(MappingPreviews { access, services: self, actor })
    }
}

impl MappingPreviews<'_> {
    /// Tries rules on one account of a directory.
    pub async fn preview(&self, directory: &str, request: PreviewRequest) -> Result<Preview> {
        let PreviewRequest { of, named, rules, live } = request;
        let directory = find(self.access, directory).await?;
        if live && of == RuleOf::Groups {
            return Err(Error::field("live", "an agent reads only users now; leave it out to use the stored group"));
        }
        let saved = if rules.is_some() {
            None
        } else {
            let (store, organization) = (self.access.store(), self.access.organization());
            Some(store.current_mapping(organization, directory.id, MappingDirection::Inbound).await?)
        };
        let version = saved.as_ref().map(|saved| saved.as_ref().map_or(0, |saved| saved.version));
        let source = match (rules, saved.flatten()) {
            (Some(given), _) => given,
            (None, Some(saved)) => rules_of(&saved),
            (None, None) => defaults(&directory, MappingDirection::Inbound),
        };
        let rules = match version {
            None => compiled(&source)?,
            Some(version) => Rules::compile_saved(version, &source),
        };
        let defined = self.access.store().attribute_definitions(self.access.organization()).await?;
        let sensitive = defined.iter().filter(|defined| defined.sensitive);
        let masked: BTreeSet<String> = sensitive.map(|defined| profile::further(&defined.name)).collect();
        let rules = Arc::new(rules.with_definitions(Definitions::of(defined)));
        let stored = self.stored(&directory, of, &named).await;
        let (account, job) = if live {
            let (account, job) = self.read_now(&directory, &named, stored.ok()).await?;
            (account, Some(job))
        } else {
            (stored?, None)
        };
        let tried = self.tried(&directory, of, &account, (&rules, &source), &masked).await?;
        let provided_by = self.provider(&directory, &account).await?;
        let Tried { trial, before, after } = tried;
        Ok(Preview { directory, version, account, job, trial, before, after, provided_by })
    }

    /// What rules would change of the users and groups of a directory.
    pub async fn effect(&self, directory: &str, rules: &[Rule]) -> Result<Effect> {
        let directory = find(self.access, directory).await?;
        compiled(rules)?;
        effect(self.access, &directory, rules).await
    }

    /// The stored account in this directory that is named so.
    async fn stored(&self, directory: &Directory, of: RuleOf, named: &str) -> Result<Account> {
        let (store, organization) = (self.access.store(), self.access.organization());
        let identity = match of {
            RuleOf::Users => resolve::user(self.access, named).await.map(UserId::as_uuid),
            RuleOf::Groups => resolve::group(self.access, named).await.map(GroupId::as_uuid),
        };
        let accounts = match identity {
            Ok(identity) => store.accounts_of(organization, identity).await?,
            Err(unknown) => match resolve::account(self.access, named).await {
                Ok(id) => store.get_account(organization, id).await?.into_iter().collect(),
                Err(_) => return Err(unknown),
            },
        };
        let here = |account: &Account| account.kind == of.kind() && account.target.directory() == directory.id;
        accounts.into_iter().find(here).ok_or_else(|| {
            let name = &directory.name;
            Error::NotFound(Message::new(format!("{named:?} has no account in the directory {name}.")).cure(format!(
                "`postern accounts list --directory {name}` shows those that there are; with --live an agent looks now."
            )))
        })
    }

    /// Lets an agent read an entry, as a look-up does.
    async fn read_now(&self, directory: &Directory, named: &str, stored: Option<Account>) -> Result<(Account, JobId)> {
        let login = stored.and_then(|account| account.unique_value);
        let (kind, input) = lookup_user::asked(login.as_deref().unwrap_or(named));
        let job = self
            .services
            .run_jobs(self.actor)?
            .start(JobRequest {
                kind: kind.to_owned(),
                directory: directory.id.to_string(),
                input,
                deadline: None,
                timeout_seconds: Some(WAIT.as_secs()),
                idempotency_key: None,
            })
            .await?;
        let job = self.ended(job).await?;
        let found = job.result.and_then(|result| serde_json::from_value::<LookupUserResult>(result).ok());
        let Some(found) = found.filter(|_| job.state == JobState::Succeeded) else {
            return Err(unread(job.id, directory, job.error));
        };
        Ok((self.as_account(directory, found).await?, job.id))
    }

    /// What was read, as the account that an import would store.
    async fn as_account(&self, directory: &Directory, found: LookupUserResult) -> Result<Account> {
        let (store, organization) = (self.access.store(), self.access.organization());
        let external_key = ExternalKey::from_text(&found.user.external_id);
        // No content has this hash, so the account is returned with its id.
        let entry = [(external_key.clone(), [0; 16])];
        let known = match store.compare_accounts(organization, directory.id, AccountKind::User, &entry).await?.pop() {
            Some(Comparison::Known(known)) => store.get_account(organization, known.id).await?,
            _ => None,
        };
        Ok(Account {
            id: known.as_ref().map_or_else(AccountId::new, |known| known.id),
            organization,
            target: directory.id.into(),
            target_name: directory.name.clone(),
            kind: AccountKind::User,
            external_key,
            dn: found.user.dn,
            unique_value: found.user.unique_value,
            attributes: found.user.attributes.to_string(),
            missing_since: None,
            identity: known.as_ref().and_then(|known| known.identity),
            former_user: known.as_ref().and_then(|known| known.former_user),
            conflict: None,
            updated_at: self.access.now(),
            switch: if found.mapped.active { Switch::On } else { Switch::Off },
            switch_hidden: false,
            outbound: false,
        })
    }

    /// The job when it has ended, or when there is no more time.
    async fn ended(&self, job: Job) -> Result<Job> {
        let mut ear = self.services.changes().follow(job.id)?;
        let (clock, until) =
            (&self.services.clock, self.access.now() + SignedDuration::try_from(WAIT).unwrap_or_default());
        loop {
            let found = self.access.store().get_job(self.access.organization(), job.id).await?;
            let found = found.ok_or_else(|| Error::no("job"))?;
            if found.state.is_final() || clock.now() >= until {
                return Ok(found);
            }
            tokio::select! {
                () = ear.changed() => {}
                () = clock.sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    async fn tried(
        &self,
        directory: &Directory,
        of: RuleOf,
        account: &Account,
        (rules, source): (&Arc<Rules>, &[Rule]),
        masked: &BTreeSet<String>,
    ) -> Result<Tried> {
        let (store, organization) = (self.access.store(), self.access.organization());
        let unreadable = || {
            let message = Message::new("The stored attributes of the account cannot be read.");
            Error::Conflict(message.cure("Import the directory; it stores the account anew."))
        };
        let view = StoredAccount::of(account).ok_or_else(unreadable)?;
        let place = Place::of(directory);
        let mapping = view.mapping(place.flavour, Some(rules));
        let trial = trial::try_rules(&view, &mapping, (of, source), masked);
        let now = self.access.now();
        let (before, after) = match account.kind {
            AccountKind::User => {
                let user = account.identity.or(account.former_user.map(UserId::as_uuid)).map(UserId::from_uuid);
                let wanted = tried::user(store, place, (&mapping, &view), user, now).await?;
                let current = match user {
                    Some(user) => store.get_owned_user(organization, user).await?,
                    None => None,
                };
                let own = current.as_ref().and_then(|user| user.own.as_deref());
                (current.as_ref().map(|user| profile::values(&user.row)), filled(profile::values(&wanted), own))
            }
            AccountKind::Group => {
                let (known, wanted) = tried::group(store, place, (&mapping, &view), account.identity, now).await?;
                (known, wanted)
            }
        };
        let hidden = |values: BTreeMap<String, Value>| {
            let mask = |(name, value)| if masked.contains(&name) { (name, MASK.into()) } else { (name, value) };
            values.into_iter().map(mask).collect()
        };
        Ok(Tried { trial, before: before.map(hidden), after: hidden(after) })
    }

    /// The earlier directory that has the account's user.
    async fn provider(&self, directory: &Directory, account: &Account) -> Result<Option<String>> {
        let Some(user) = account.identity.filter(|_| account.kind == AccountKind::User) else { return Ok(None) };
        let sources = sources::of(self.access, UserId::from_uuid(user)).await?;
        let provider = sources.directory_of("user_name").filter(|provider| *provider != directory.name);
        Ok(provider.map(str::to_owned))
    }
}

struct Tried {
    trial: Trial,
    before: Option<BTreeMap<String, Value>>,
    after: BTreeMap<String, Value>,
}

/// What the organization itself says of the user stays where the directory says nothing.
fn filled(mut values: BTreeMap<String, Value>, own: Option<&str>) -> BTreeMap<String, Value> {
    let own: Map<String, Value> = own.and_then(|own| serde_json::from_str(own).ok()).unwrap_or_default();
    for (name, value) in own {
        match value {
            Value::Object(further) if name == "attributes" => {
                for (name, value) in further {
                    values.entry(profile::further(&name)).or_insert(value);
                }
            }
            value => drop(values.entry(name).or_insert(value)),
        }
    }
    values
}

/// Why no entry came.
fn unread(job: JobId, directory: &Directory, error: Option<Value>) -> Error {
    let Some(failure) = error.and_then(|error| serde_json::from_value::<Failure>(error).ok()) else {
        let message = format!("No agent of {} answered within {} seconds.", directory.name, WAIT.as_secs());
        let cure = format!("`postern jobs show {job}` says why; without --live the stored account is used.");
        return Error::Busy(Message::new(message).cure(cure));
    };
    let message = Message::new(format!("The directory {} could not be read: {}", directory.name, failure.message));
    Error::Conflict(match failure.cure {
        Some(cure) => message.cure(cure),
        None => message,
    })
}

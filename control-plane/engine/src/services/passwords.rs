//! Passwords of users in directories. They come sealed to the keys of agents; nothing here can open them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use postern_proto::sealed::{Header, KeyId, MAX_SEALED_BYTES, PublicKey};
use postern_store::PasswordKey;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change as Noted;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::provisioning_report::{ReportRow, name_of};
use super::resolve;
use super::rights::Right;
use crate::provisioning::change::{Change, Reference, Sealed, Step};
use crate::provisioning::passwords::{ACTIONS, LONGEST};
use crate::provisioning::settings::Settings;
use crate::records::{
    Account, AgentId, Directory, IdentityId, Operation, OperationId, OperationState, TargetId, UserId,
};

/// How long a sealed password is good for, as clients are asked to set it.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// The most agents of a directory that a password is sealed to.
const MOST_KEYS: u32 = 100;

/// The passwords of users, for somebody who may set them.
#[derive(Debug)]
pub struct Passwords<'s>(Access<'s>);

/// The keys that a password for a directory is sealed to.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The directory.
    pub directory: Directory,
    /// When a password that is sealed now should expire.
    pub expires_at: Timestamp,
    /// One key for each agent that can set passwords there.
    pub keys: Vec<Key>,
}

/// A key of an agent.
#[derive(Clone, Debug)]
pub struct Key {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// What identifies the key.
    pub id: KeyId,
    /// The public half.
    pub public: PublicKey,
}

/// A password that is to be set.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// Name or id of the directory.
    pub target: String,
    /// The password, sealed to keys of the directory.
    pub sealed: Vec<Vec<u8>>,
    /// Whether the user must change it at the next sign-in.
    pub must_change: bool,
}

impl Services {
    /// Opens the passwords of users.
    pub fn passwords<'s>(&'s self, actor: &'s Actor) -> Result<Passwords<'s>> {
        self.open(actor, Right::SetPasswords).map(Passwords)
    }
}

impl Passwords<'_> {
    /// The keys that a password for a directory is sealed to.
    pub async fn keys(&self, directory: &str) -> Result<Keys> {
        let directory = find(self.0, directory).await?;
        let keys = self.keys_of(&directory).await?;
        let now = self.0.now();
        Ok(Keys { directory, expires_at: now.checked_add(LIFETIME).unwrap_or(now), keys })
    }

    async fn keys_of(&self, directory: &Directory) -> Result<Vec<Key>> {
        let found = self.0.store().password_keys(self.0.organization(), directory.id, MOST_KEYS).await?;
        let key = |PasswordKey { agent, name, key }: PasswordKey| {
            let public = PublicKey::from_bytes(&key).ok()?;
            Some(Key { agent, name, id: public.id(), public })
        };
        Ok(found.into_iter().filter_map(key).collect())
    }

    /// Has a password set. It is sent to an agent that can open it, until it expires.
    pub async fn set(&self, user: &str, new: &NewPassword) -> Result<ReportRow> {
        let directory = find(self.0, &new.target).await?;
        let id = resolve::user(self.0, user).await?;
        self.allowed(&directory).await?;
        let (name, account) = self.account(id, &directory).await?;
        let now = self.0.now();
        let (sealed, expires_at) = self.checked(new, &directory, now).await?;
        let change = Change::SetPassword { must_change: new.must_change, expires_at, sealed };
        let noted = json!({ "target": directory.name, "must_change": new.must_change });
        self.ask(directory, (id, name, &account), change, ("user.password_set", &noted)).await
    }

    /// Has a user unlocked after wrong passwords.
    pub async fn unlock(&self, user: &str, target: &str) -> Result<ReportRow> {
        let directory = find(self.0, target).await?;
        let id = resolve::user(self.0, user).await?;
        self.allowed(&directory).await?;
        let (name, account) = self.account(id, &directory).await?;
        let noted = json!({ "target": directory.name });
        self.ask(directory, (id, name, &account), Change::Unlock, ("user.unlocked", &noted)).await
    }

    async fn ask(
        &self,
        directory: Directory,
        (user, name, account): (UserId, String, &Account),
        change: Change,
        (cause, noted): (&'static str, &Value),
    ) -> Result<ReportRow> {
        let entry =
            Reference { external_id: account.external_key.to_text(), dn: account.dn.clone(), ..Reference::default() };
        let now = self.0.now();
        let noted = Noted::new(cause, user.as_uuid(), &name).after(noted);
        let (action, changes) = (change.action().to_owned(), change.before_and_after(|_| true));
        let operation = Operation {
            id: OperationId::new(),
            organization: self.0.organization(),
            target: directory.id.into(),
            identity: IdentityId::User(user),
            name,
            account: Some(account.id),
            place: 0,
            action,
            content: serde_json::to_value(Step { entry: Some(entry), change }).ok(),
            changes,
            cause: cause.to_owned(),
            actor: Some(self.0.actor().who.name().to_owned()),
            state: OperationState::Waiting,
            generation: 0,
            created_at: now,
            sent_at: None,
            ended_at: None,
            elapsed_ms: None,
            answer: None,
            approved_by: None,
            plan: None,
        };
        let mut tx = self.0.store().begin_identities(self.0.organization(), now).await?;
        tx.ask_operation(&operation).await?;
        tx.note(self.0.note(noted));
        tx.commit().await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, user = %user,
            target = %operation.target, "{cause}");
        Ok(ReportRow { operation, target: directory.name })
    }

    /// What has become of a password, or of unlocking.
    pub async fn get(&self, id: OperationId) -> Result<ReportRow> {
        let found = self.0.store().get_operation(self.0.organization(), id).await?;
        let operation =
            found.filter(|found| ACTIONS.contains(&found.action.as_str())).ok_or_else(|| Error::no("operation"))?;
        let target = name_of(self.0, operation.target).await?;
        Ok(ReportRow { operation, target })
    }

    /// Refuses where nothing would be sent.
    async fn allowed(&self, directory: &Directory) -> Result<()> {
        let saved = self.0.store().get_provisioning(self.0.organization(), TargetId::from(directory.id)).await?;
        let name = &directory.name;
        if saved.as_ref().is_some_and(|saved| saved.paused) {
            let message = Message::new(format!("Nothing is sent to {name} for now."));
            return Err(Error::Conflict(message.cure(format!("`postern provisioning resume {name}` goes on."))));
        }
        let settings = match saved {
            Some(saved) => serde_json::from_value::<Settings>(saved.settings)
                .map_err(|error| Error::Internal(postern_store::Error::corrupt(error.to_string())))?,
            None => Settings::default(),
        };
        if !settings.switches.sync_passwords {
            let message = Message::new(format!("Passwords are not set in {name}."));
            let cure = format!("An owner allows it: sync-passwords in `postern provisioning set {name}`.");
            return Err(Error::Conflict(message.cure(cure)));
        }
        Ok(())
    }

    /// The name of a user, and the account whose password is set.
    async fn account(&self, user: UserId, directory: &Directory) -> Result<(String, Account)> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let Some(known) = store.get_user(organization, user).await? else { return Err(Error::no("user")) };
        let found = store.accounts_in(organization, directory.id.into(), &[IdentityId::User(user)]).await?;
        let mut present = found.into_iter().map(|found| found.account).filter(|it| it.missing_since.is_none());
        match (present.next(), present.next()) {
            (Some(account), None) => Ok((known.user_name, account)),
            (None, _) => {
                let message = Message::new(format!("{} has no account in {}.", known.user_name, directory.name));
                Err(Error::Conflict(message.cure("Provision or import it first, and set the password then.")))
            }
            (Some(_), Some(_)) => {
                let text = format!("{} has several accounts in {}.", known.user_name, directory.name);
                Err(Error::Conflict(Message::new(text).cure("Split the user (postern users split), and try again.")))
            }
        }
    }

    /// Checks what can be checked without a key. Returns what each agent gets, and when the first of them expires.
    async fn checked(
        &self,
        new: &NewPassword,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<(Vec<Sealed>, Timestamp)> {
        let wrong = |detail: String| Error::field("sealed", detail);
        if new.sealed.is_empty() || new.sealed.len() > MOST_KEYS as usize {
            return Err(wrong(format!("give the password sealed to 1 to {MOST_KEYS} keys")));
        }
        let agents: BTreeMap<KeyId, AgentId> =
            self.keys_of(directory).await?.into_iter().map(|key| (key.id, key.agent)).collect();
        let (mut sealed, mut first) = (BTreeMap::<Uuid, String>::new(), Timestamp::MAX);
        for bytes in &new.sealed {
            if bytes.len() > MAX_SEALED_BYTES {
                return Err(wrong(format!("a sealed password has at most {MAX_SEALED_BYTES} bytes")));
            }
            let header = Header::read(bytes).map_err(|error| wrong(error.to_string()))?;
            let Some(agent) = agents.get(&header.key) else {
                let text = "it is sealed to a key that no agent of the directory has; read the keys again".to_owned();
                return Err(wrong(text));
            };
            let at = i64::try_from(header.expires_at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let Some(at) = at.filter(|at| *at > now && at.duration_since(now) <= LONGEST) else {
                return Err(wrong(
                    "it must expire within the next 30 minutes; correct the clock of your machine".to_owned(),
                ));
            };
            first = first.min(at);
            if sealed.insert(agent.as_uuid(), STANDARD.encode(bytes)).is_some() {
                return Err(wrong("two are sealed to the same key".to_owned()));
            }
        }
        Ok((sealed.into_iter().map(|(agent, text)| Sealed { agent, text }).collect(), first))
    }
}

//! Changes of what directories say of a user: written through to them, where that is allowed.

use std::collections::BTreeMap;

use postern_runtime::plain::quoted;
use postern_store::PendingChange;
use serde_json::Value;

use super::access::Access;
use super::error::{Error, Message, Result};
use super::known_directories;
use super::sources::Sources;
use crate::identity::mapping::outbound::Outbound;
use crate::identity::profile;
use crate::intake::claims::claim;
use crate::intake::place::Place;
use crate::intake::reading::saved_rules_of;
use crate::provisioning::settings::Settings;
use crate::provisioning::{rules, write_through};
use crate::records::{Account, Directory, IdentityId, PendingId, TargetId, UserId};

/// Values of fields by their names. `null`: the value is taken away.
pub(super) type Asked = BTreeMap<String, Value>;

/// Whether changes are written through to a directory.
pub(super) async fn is_on(access: Access<'_>, target: TargetId) -> Result<bool> {
    let Some(saved) = access.store().get_provisioning(access.organization(), target).await? else { return Ok(false) };
    let settings = serde_json::from_value::<Settings>(saved.settings)
        .map_err(|error| Error::Internal(postern_store::Error::corrupt(error.to_string())))?;
    Ok(settings.switches.write_through)
}

/// What directories are asked for, to change these fields of a user that they say. Fails if one of them takes no changes, or
/// not this one.
pub(super) async fn changes(
    access: Access<'_>,
    user: UserId,
    fields: &Asked,
    sources: &Sources,
) -> Result<Vec<PendingChange>> {
    let directories = known_directories::all(access).await?;
    let mut of: BTreeMap<&str, Vec<(&String, &Value)>> = BTreeMap::new();
    for (field, value) in fields {
        of.entry(sources.directory_of(field).unwrap_or_default()).or_default().push((field, value));
    }
    let (mut routes, mut closed) = (Vec::new(), Vec::new());
    for (name, fields) in of {
        let directory = directories.iter().find(|directory| directory.name == name);
        match directory {
            Some(directory) if is_on(access, directory.id.into()).await? => routes.push((directory, fields)),
            _ => closed.push((name, fields.into_iter().map(|(field, _)| field.as_str()).collect())),
        }
    }
    if !closed.is_empty() {
        return Err(owned(&closed));
    }
    let mut changes = Vec::with_capacity(fields.len());
    for (directory, fields) in routes {
        let route = Route::open(access, directory, user).await?;
        for (field, value) in fields {
            if let Err(reason) = route.takes(access, field, value) {
                return Err(not_through(&directory.name, field, &reason));
            }
            changes.push(PendingChange {
                id: PendingId::new(),
                target: directory.id.into(),
                identity: IdentityId::User(user),
                what: field.clone(),
                wanted: value.clone(),
                asked_at: access.now(),
                asked_by: access.actor().who.name().to_owned(),
                refused: None,
            });
        }
    }
    Ok(changes)
}

/// Fields that nobody has a value of, each with the first directory of the user that changes are written through to and
/// that would say it.
pub(super) async fn homes(access: Access<'_>, user: UserId, fields: &Asked) -> Result<Vec<(String, String)>> {
    let mut homes: Vec<(String, String)> = Vec::new();
    if fields.is_empty() {
        return Ok(homes);
    }
    let accounts = access.store().present_accounts_of(access.organization(), &[user]).await?;
    let directories = known_directories::all(access).await?;
    let mut seen = Vec::new();
    for account in &accounts {
        let directory = directories.iter().find(|directory| directory.id == account.target.directory());
        let Some(directory) = directory.filter(|it| it.deleted_at.is_none() && !seen.contains(&it.id)) else {
            continue;
        };
        seen.push(directory.id);
        if !is_on(access, account.target).await? {
            continue;
        }
        let route = Route::open(access, directory, user).await?;
        for (field, value) in fields {
            let is_new = homes.iter().all(|(known, _)| known != field);
            if is_new && !value.is_null() && route.takes(access, field, value).is_ok() {
                homes.push((field.clone(), directory.name.clone()));
            }
        }
    }
    Ok(homes)
}

/// The way of a field into a directory and back.
struct Route<'d> {
    directory: &'d Directory,
    outbound: std::result::Result<Outbound, String>,
    inbound: Option<std::sync::Arc<crate::identity::mapping::rules::Rules>>,
    account: Option<Account>,
}

impl<'d> Route<'d> {
    async fn open(access: Access<'_>, directory: &'d Directory, user: UserId) -> Result<Self> {
        let store = access.store();
        let found = store.accounts_in(access.organization(), directory.id.into(), &[IdentityId::User(user)]).await?;
        let mut accounts = found.into_iter().map(|found| found.account);
        let account = accounts.find(|account| account.missing_since.is_none() && !account.outbound);
        let outbound = rules::of(store, directory).await?;
        Ok(Self { directory, outbound, inbound: saved_rules_of(store, directory).await?, account })
    }

    /// Whether a value comes back from the directory as it was sent. Or why not, for people.
    fn takes(&self, access: Access<'_>, field: &str, value: &Value) -> std::result::Result<(), String> {
        let outbound = self.outbound.as_ref().map_err(Clone::clone)?;
        let account = self.account.as_ref().ok_or("The user has no account there.")?;
        let after = write_through::rehearsed(account, outbound, field, value)?;
        let claimed = claim(Place::of(self.directory), self.inbound.as_ref(), &after, access.now());
        let values = claimed.map(|claimed| profile::values(&claimed.wanted)).unwrap_or_default();
        if values.get(field).unwrap_or(&Value::Null) == value {
            return Ok(());
        }
        let attributes = outbound.attributes_of(crate::identity::mapping::rules::RuleOf::Users, field).join(" and ");
        Err(format!(
            "The directory's inbound rules would not read it from {attributes}, where the outbound rule writes it."
        ))
    }
}

/// The refusal of fields of directories that take no changes.
fn owned(closed: &[(&str, Vec<&str>)]) -> Error {
    let says = |(directory, fields): &(&str, Vec<&str>)| {
        let verb = if fields.len() == 1 { "comes" } else { "come" };
        let labels: Vec<&str> = fields.iter().map(|field| profile::label(field).unwrap_or(field)).collect();
        format!("The {} of this user {verb} from the directory {directory}.", labels.join(" and the "))
    };
    let sentences: Vec<String> = closed.iter().map(says).collect();
    let directories = closed.iter().map(|(directory, _)| *directory).collect::<Vec<_>>().join(" and ");
    let cure = format!(
        "Change it in {directories}, then import. An owner can have such changes written there: write-through in \
         `postern provisioning set`."
    );
    let message = Message::new(sentences.join(" ")).cure(cure);
    let fields = closed.iter().flat_map(|(_, fields)| fields);
    Error::Conflict(fields.fold(message, |message, field| message.about(*field)))
}

/// The refusal of a field that cannot be written through.
fn not_through(directory: &str, field: &str, reason: &str) -> Error {
    let label = profile::label(field).unwrap_or(field);
    let message =
        format!("The {label} of this user comes from the directory {directory}, and cannot be written there. {reason}");
    let cure = format!(
        "Change it in {directory}, then import; or give {directory} a rule that writes {} to the attribute it is read from.",
        quoted(field)
    );
    Error::Conflict(Message::new(message).cure(cure).about(field))
}

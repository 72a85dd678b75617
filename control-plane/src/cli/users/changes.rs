//! Commands of `postern users` that change something.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use postern_engine::identity::attributes::from_text;
use serde_json::{Value, json};

use super::super::super::api::change_users::{DisableRequest, UserPatch, UserRequest};
use super::super::super::api::consequences::{ConsequencesView, PlannedChange};
use super::super::super::api::users::{ChangedUser, UserDetail};
use super::super::client::Client;
use super::super::confirm::Yes;
use super::super::consequences;
use super::super::error::Error;
use super::super::moment;
use super::super::name::Name;
use super::super::screen::{Screen, note};
use super::definitions::definitions;
use super::fields::{attributes, disabled, pending, profile};

/// Commands that change a user.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Command {
    /// Create a user
    Create {
        /// Name by which the user is known
        user_name: String,
        #[command(flatten)]
        profile: Profile,
    },
    /// Change a user; change values that come from a directory in that directory
    Change {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// New user name
        #[arg(long, value_name = "NAME")]
        user_name: Option<String>,
        #[command(flatten)]
        profile: Profile,
        /// Remove this value, like email or attributes.title; may be repeated
        #[arg(long, value_name = "FIELD")]
        remove: Vec<String>,
    },
    /// Disable a user, even if a directory says active
    #[command(after_help = "The user stays inactive until `postern users enable`, or until the given time. No import \
        lifts it. For a user that is disabled already, a reason or an end that is not given stays as it was.")]
    Disable {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Until when: a time like 2026-12-31T00:00:00Z, a date (midnight UTC), or a span like 30d [default: until you
        /// enable the user]
        #[arg(long, value_name = "TIME", value_parser = moment::later)]
        until: Option<Timestamp>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Enable a user that you have disabled
    #[command(after_help = "The user becomes active if no directory says otherwise.")]
    Enable {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
    },
    /// Delete a user that no directory has any more
    #[command(after_help = "The user can be restored for 30 days.")]
    Delete {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        #[command(flatten)]
        yes: Yes,
    },
    /// Restore a deleted user
    Restore {
        /// Id of the deleted user, its beginning, or the user name
        user: Name,
    },
}

/// Values of a user.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Profile {
    /// First name
    #[arg(long, value_name = "NAME")]
    given_name: Option<String>,
    /// Last name
    #[arg(long, value_name = "NAME")]
    family_name: Option<String>,
    /// Name shown to people
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Further attribute, like title=Engineer or langs=de|en for a list; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
}

impl Profile {
    fn is_empty(&self) -> bool {
        let texts = [&self.given_name, &self.family_name, &self.display_name, &self.email];
        texts.into_iter().all(Option::is_none) && self.attributes.is_empty()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The values of further attributes, each of its defined type. Texts of a list are separated by `|`, as in a file.
async fn typed(pairs: Vec<(String, String)>, client: &Client) -> Result<BTreeMap<String, Value>, Error> {
    let defined = if pairs.is_empty() { Vec::new() } else { definitions(client).await? };
    let mut values = BTreeMap::new();
    for (name, text) in pairs {
        let definition = defined.iter().find(|defined| defined.name == name);
        if values.insert(name.clone(), from_text(definition, &text)).is_some() {
            return Err(Error::Usage(format!("--attribute {name} is given twice")));
        }
    }
    Ok(values)
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Create { user_name, profile } => {
            let request = UserRequest {
                user_name,
                given_name: profile.given_name,
                family_name: profile.family_name,
                display_name: profile.display_name,
                email: profile.email,
                attributes: typed(profile.attributes, client).await?,
            };
            changed(&client.post("users", &request).await?, screen)
        }
        Command::Change { user, user_name, profile, remove } => {
            let attributes = typed(profile.attributes.clone(), client).await?;
            let patch = patch(user_name, profile, attributes, &remove)?;
            changed(&client.patch(&format!("users/{user}"), &patch).await?, screen)
        }
        Command::Disable { user, reason, until, yes } => {
            let lines =
                consequences::lines(client, &PlannedChange::DisableUser { user: user.text().to_owned() }).await?;
            if !lines.is_empty() {
                yes.or_ask(&format!("{} will be disabled.\n{}", user.text(), lines.join("\n")))?;
            }
            let request = DisableRequest { reason, until };
            changed(&client.post(&format!("users/{user}/disable"), &request).await?, screen)
        }
        Command::Enable { user } => {
            let user: ChangedUser = client.post(&format!("users/{user}/enable"), &json!({})).await?;
            if user.suspension.is_none() && !user.user.active {
                note("the user stays inactive: a directory says so, or none has the user any more");
            }
            changed(&user, screen)
        }
        Command::Delete { user, yes } => {
            let detail: UserDetail = client.get(&format!("users/{user}"), &[]).await?;
            let id = detail.user.id;
            let lines = consequences::lines(client, &PlannedChange::DeleteUser { user: id.to_string() }).await?;
            let what = format!(
                "{} will be deleted, with the memberships that the organization has added.",
                detail.user.user_name
            );
            yes.or_ask(&[vec![what], lines].concat().join("\n"))?;
            let done: Option<ConsequencesView> = client.delete_and_read(&format!("users/{id}")).await?;
            let cure = format!("The user is deleted. For 30 days `postern users restore {id}` brings it back.");
            let lines = done.iter().flat_map(consequences::in_words);
            screen.done(&id, "deleted", &[cure].into_iter().chain(lines).collect::<Vec<_>>().join("\n"))
        }
        Command::Restore { user } => changed(&client.post(&format!("users/{user}/restore"), &json!({})).await?, screen),
    }
}

/// What to change: values that are given, and values that are removed.
fn patch(
    user_name: Option<String>,
    profile: Profile,
    attributes: BTreeMap<String, Value>,
    remove: &[String],
) -> Result<UserPatch, Error> {
    if user_name.is_none() && profile.is_empty() && remove.is_empty() {
        return Err(Error::Usage("there is nothing to change; give a new value, or --remove FIELD".to_owned()));
    }
    let mut patch = UserPatch {
        user_name,
        given_name: profile.given_name.map(Some),
        family_name: profile.family_name.map(Some),
        display_name: profile.display_name.map(Some),
        email: profile.email.map(Some),
        attributes: attributes.into_iter().map(|(name, value)| (name, Some(value))).collect(),
    };
    for field in remove {
        let given = match (field.as_str(), field.strip_prefix("attributes.")) {
            ("given_name" | "given-name", _) => patch.given_name.replace(None).flatten().is_some(),
            ("family_name" | "family-name", _) => patch.family_name.replace(None).flatten().is_some(),
            ("display_name" | "display-name", _) => patch.display_name.replace(None).flatten().is_some(),
            ("email", _) => patch.email.replace(None).flatten().is_some(),
            (_, Some(name)) => patch.attributes.insert(name.to_owned(), None).flatten().is_some(),
            _ => {
                let known = "given-name, family-name, display-name, email and attributes.NAME";
                return Err(Error::Usage(format!("{field:?} cannot be removed; known are {known}")));
            }
        };
        if given {
            return Err(Error::Usage(format!("{field} is both given and removed")));
        }
    }
    Ok(patch)
}

/// Prints a user that was just made or changed.
fn changed(changed: &ChangedUser, screen: &mut Screen) -> Result<(), Error> {
    let mut fields = profile(&changed.user);
    let further = attributes(&changed.user);
    fields.extend(further.iter().map(|(name, text)| (name.as_str(), text.clone())));
    fields.extend(disabled(changed.suspension.as_ref()));
    fields.extend(pending(&changed.pending));
    screen.fields(changed, &fields)
}

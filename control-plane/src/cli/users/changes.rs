//! Commands of `postern users` that change something.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::super::api::change_users::{DisableRequest, UserPatch, UserRequest};
use super::super::super::api::users::{ChangedUser, UserDetail};
use super::super::client::Client;
use super::super::confirm::Yes;
use super::super::error::Error;
use super::super::name::Name;
use super::super::screen::{Screen, note};
use super::fields::{disabled, profile};

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
    /// Change a user; values that a directory says are changed there
    Change {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// New user name
        #[arg(long, value_name = "NAME")]
        user_name: Option<String>,
        #[command(flatten)]
        profile: Profile,
        /// Take this value away, like email or attributes.title; may be repeated
        #[arg(long, value_name = "FIELD")]
        remove: Vec<String>,
    },
    /// Disable a user, whatever directories say
    #[command(after_help = "The user stays inactive until `postern users enable`, or until the given time. No import \
        lifts it.")]
    Disable {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Until when, like 2026-12-31T00:00:00Z [default: until you enable the user]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
    /// End your decision to disable a user
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
        /// Id of the deleted user
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
    /// How people see the user
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Further attribute, like title=Engineer; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
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
                attributes: profile.attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect(),
            };
            changed(&client.post("users", &request).await?, screen)
        }
        Command::Change { user, user_name, profile, remove } => {
            let patch = patch(user_name, profile, &remove)?;
            changed(&client.patch(&format!("users/{user}"), &patch).await?, screen)
        }
        Command::Disable { user, reason, until } => {
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
            yes.or_ask(&format!(
                "{} will be deleted, with the memberships that the organization has added.",
                detail.user.user_name
            ))?;
            client.delete(&format!("users/{}", detail.user.id)).await?;
            screen.done(
                &detail.user.id,
                "deleted",
                "The user is deleted. `postern users restore` brings it back for 30 days.",
            )
        }
        Command::Restore { user } => changed(&client.post(&format!("users/{user}/restore"), &json!({})).await?, screen),
    }
}

/// What to change: values that are given, and values that are taken away.
fn patch(user_name: Option<String>, profile: Profile, remove: &[String]) -> Result<UserPatch, Error> {
    let attributes = profile.attributes.into_iter().map(|(name, value)| (name, Some(Value::String(value))));
    let mut patch = UserPatch {
        user_name,
        given_name: profile.given_name.map(Some),
        family_name: profile.family_name.map(Some),
        display_name: profile.display_name.map(Some),
        email: profile.email.map(Some),
        attributes: attributes.collect(),
    };
    for field in remove {
        match (field.as_str(), field.strip_prefix("attributes.")) {
            ("given_name" | "given-name", _) => patch.given_name = Some(None),
            ("family_name" | "family-name", _) => patch.family_name = Some(None),
            ("display_name" | "display-name", _) => patch.display_name = Some(None),
            ("email", _) => patch.email = Some(None),
            (_, Some(name)) => drop(patch.attributes.insert(name.to_owned(), None)),
            _ => {
                let known = "given-name, family-name, display-name, email and attributes.NAME";
                return Err(Error::Usage(format!("{field:?} cannot be removed; known are {known}")));
            }
        }
    }
    Ok(patch)
}

/// Prints a user that was just made or changed.
fn changed(changed: &ChangedUser, screen: &mut Screen) -> Result<(), Error> {
    let mut fields = profile(&changed.user);
    fields.extend(disabled(changed.suspension.as_ref()));
    screen.fields(changed, &fields)
}

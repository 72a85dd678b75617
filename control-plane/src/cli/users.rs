//! `postern users`: the organization's users.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use postern_engine::jobs::report::attributes;
use serde_json::{Value, json};

use super::super::api::accounts::AccountView;
use super::super::api::change_users::{DeletedUserView, DisableRequest, UserPatch, UserRequest};
use super::super::api::users::{ChangedUser, SuspensionView, UserDetail, UserView};
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, note, text_or, time, time_or};

/// Commands of `postern users`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List users
    List {
        /// Beginning of a user name, display name or e-mail address [default: all users]
        query: Option<String>,
        /// Only those who may sign in (true) or may not (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        active: Option<bool>,
        /// Only users that no directory has any more (true), or all others (false)
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        missing: Option<bool>,
        #[command(flatten)]
        args: ListArgs,
    },
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
    /// List deleted users that can be restored
    Deleted(ListArgs),
    /// Restore a deleted user
    Restore {
        /// Id of the deleted user
        user: Name,
    },
    /// Show a user with its accounts and groups
    Show {
        /// Id, user name, display name or e-mail address of the user
        user: Name,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { query, active, missing, args } => {
            let mut wanted: Vec<(&str, String)> = query.map(|query| ("query", query)).into_iter().collect();
            wanted.extend(active.map(|active| ("active", active.to_string())));
            wanted.extend(missing.map(|missing| ("missing", missing.to_string())));
            let users: Found<UserView> = client.list("users", &wanted, args.most()).await?;
            screen.list(
                &users,
                &args,
                &["user name", "display name", "e-mail", "active", "missing since", "id"],
                |user| {
                    vec![
                        user.user_name.clone(),
                        text_or(user.display_name.as_deref(), "-"),
                        text_or(user.email.as_deref(), "-"),
                        yes_no(user.active).to_owned(),
                        time_or(user.missing_since, "-"),
                        user.id.to_string(),
                    ]
                },
            )
        }
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
        Command::Deleted(args) => {
            let users: Found<DeletedUserView> = client.list("deleted-users", &[], args.most()).await?;
            screen.list(&users, &args, &["user name", "deleted", "by", "id"], |user| {
                vec![user.user_name.clone(), time(user.deleted_at), user.deleted_by.clone(), user.id.to_string()]
            })
        }
        Command::Restore { user } => changed(&client.post(&format!("users/{user}/restore"), &json!({})).await?, screen),
        Command::Show { user } => show(&client.get(&format!("users/{user}"), &[]).await?, screen),
    }
}

/// Values of a user.
#[derive(Clone, Debug, Args)]
pub(super) struct Profile {
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

fn profile(user: &UserView) -> Vec<(&'static str, String)> {
    vec![
        ("user name", user.user_name.clone()),
        ("id", user.id.to_string()),
        ("display name", text_or(user.display_name.as_deref(), "-")),
        ("given name", text_or(user.given_name.as_deref(), "-")),
        ("family name", text_or(user.family_name.as_deref(), "-")),
        ("e-mail", text_or(user.email.as_deref(), "-")),
        ("active", yes_no(user.active).to_owned()),
    ]
}

/// Who has disabled a user, why, and until when.
fn disabled(suspension: Option<&SuspensionView>) -> Option<(&'static str, String)> {
    let it = suspension?;
    let until = it.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
    let reason = it.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(("disabled", format!("by {} at {}{until}{reason}", it.by, time(it.since))))
}

fn show(detail: &UserDetail, screen: &mut Screen) -> Result<(), Error> {
    let user = &detail.user;
    let groups: Vec<&str> = detail.groups.iter().map(|group| group.display_name.as_str()).collect();
    let mut fields = profile(user);
    fields.extend(disabled(detail.suspension.as_ref()));
    fields.extend([
        ("missing since", time_or(user.missing_since, "-")),
        ("groups", if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }),
        ("provided by", provided_by(detail)),
        ("created", time(user.created_at)),
        ("changed", time(user.updated_at)),
    ]);
    screen.fields(detail, &fields)?;
    if !screen.is_json() {
        for shown in &detail.accounts {
            screen.line("")?;
            account(shown, screen)?;
        }
    }
    Ok(())
}

/// The directory that provides the profile, with the fields that it says.
fn provided_by(detail: &UserDetail) -> String {
    let Some(directory) = detail.sources.values().next() else { return "the organization".to_owned() };
    let fields: Vec<&str> = detail.sources.keys().map(String::as_str).collect();
    format!("{directory} ({})", fields.join(", "))
}

/// Prints an account with its attributes.
pub(super) fn account(account: &AccountView, screen: &mut Screen) -> Result<(), Error> {
    screen.line(format!("account {} in {}", account.id, super::screen::plain(&account.directory.name)))?;
    let mut rows = vec![
        vec!["dn".to_owned(), account.dn.clone()],
        vec!["external id".to_owned(), account.external_id.clone()],
        vec!["missing since".to_owned(), time_or(account.missing_since, "-")],
        vec!["enabled".to_owned(), enabled(account)],
    ];
    rows.extend(account.conflict.iter().map(|name| vec!["conflict".to_owned(), format!("{name} is taken")]));
    rows.extend(attributes(&serde_json::from_str(account.attributes.0.get())?));
    screen.table(&["attribute", "value"], rows)
}

/// Whether the account is enabled in the directory.
fn enabled(account: &AccountView) -> String {
    match (account.enabled, account.enabled_until) {
        (None, _) => "unknown".to_owned(),
        (Some(enabled), None) => yes_no(enabled).to_owned(),
        (Some(_), Some(end)) => format!("until {}", time(end)),
    }
}

/// A yes or no for people.
pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

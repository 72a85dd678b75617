//! `postern conflicts`: accounts that wait for a user or a user name, and the decision about them.

use std::collections::BTreeSet;

use clap::Subcommand;
use postern_engine::records::{Holder, UserId};

use super::super::api::conflicts::{ChoiceWord, ConflictView, DecisionRequest, DecisionView, IgnoredView, Waiting};
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, plain, text_or, time};

/// Commands of `postern conflicts`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List conflicts
    #[command(after_help = "The last column says what resolves a conflict: a change of one of the two logins in the \
        directory, or, if the user has no account any more, your decision.")]
    List {
        /// Name or id of a directory [default: all]
        #[arg(long)]
        directory: Option<String>,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Show a conflict: the account beside the users that it may belong to
    Show {
        /// Id of the account, or the user name that it claims
        account: Name,
    },
    /// Link an account to a user: it is the same person
    Link {
        /// Id of the account, or the user name that it claims
        account: Name,
        /// Id of the user [default: the only one that the account may belong to]
        #[arg(long, value_name = "ID")]
        user: Option<UserId>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Create a user for an account: it belongs to a new person, and the former one is gone
    CreateUser {
        /// Id of the account, or the user name that it claims
        account: Name,
        #[command(flatten)]
        yes: Yes,
    },
    /// Let an account stay without a user: no import asks again
    Ignore {
        /// Id of the account, or the user name that it claims
        account: Name,
    },
    /// List ignored accounts
    Ignored(ListArgs),
    /// Make an ignored account a conflict again
    AskAgain {
        /// Id of the account
        account: Name,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { directory, args } => {
            let query: Vec<(&str, String)> = directory.map(|directory| ("directory", directory)).into_iter().collect();
            let conflicts: Found<ConflictView> = client.list("conflicts", &query, args.most()).await?;
            let head = ["name", "dn", "held by", "what ends it", "account"];
            screen.list(&conflicts, &args, &head, |conflict| {
                vec![
                    conflict.user_name.clone(),
                    conflict.account.dn.clone(),
                    held_by(conflict),
                    end(conflict).to_owned(),
                    conflict.account.id.to_string(),
                ]
            })
        }
        Command::Show { account } => show(&client.get(&format!("conflicts/{account}"), &[]).await?, screen),
        Command::Link { account, user, yes } => {
            let what = match user {
                Some(user) => format!("becomes an account of the user {user}"),
                None => "becomes an account of that user".to_owned(),
            };
            let request = DecisionRequest { choice: ChoiceWord::Link, user };
            decide(&account, &request, &what, yes, client, screen).await
        }
        Command::Ignore { account } => {
            let request = DecisionRequest { choice: ChoiceWord::Ignore, user: None };
            client.post::<DecisionView>(&format!("conflicts/{account}"), &request).await?;
            screen.done(&account.to_string(), "ignored", "The account stays without a user, and no import asks again.")
        }
        Command::Ignored(args) => ignored(&args, client, screen).await,
        Command::AskAgain { account } => {
            let request = DecisionRequest { choice: ChoiceWord::AskAgain, user: None };
            client.post::<DecisionView>(&format!("conflicts/{account}"), &request).await?;
            screen.done(&account.to_string(), "waiting", "The account is a conflict again.")
        }
        Command::CreateUser { account, yes } => {
            let what = "gets a new user of that name. The present user loses the name, which cannot be undone";
            let request = DecisionRequest { choice: ChoiceWord::Create, user: None };
            decide(&account, &request, what, yes, client, screen).await
        }
    }
}

/// Shows the account and its user, asks, and decides about exactly that account.
async fn decide(
    account: &Name,
    request: &DecisionRequest,
    what: &str,
    yes: Yes,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let conflict: ConflictView = client.get(&format!("conflicts/{account}"), &[]).await?;
    yes.or_ask(&question(&conflict, what))?;
    let id = conflict.account.id;
    let decided: DecisionView = client.post(&format!("conflicts/{id}"), request).await?;
    if screen.is_json() {
        return screen.json(&decided);
    }
    let Some(user) = decided.user else { return screen.line("The account has no user.") };
    screen.line(plain(&format!("The account belongs to the user {} ({}).", user.user_name, user.id)))
}

async fn ignored(args: &ListArgs, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let ignored: Found<IgnoredView> = client.list("ignored-conflicts", &[], args.most()).await?;
    screen.list(&ignored, args, &["name", "dn", "since", "by", "account"], |one| {
        vec![
            one.user_name.clone(),
            one.account.dn.clone(),
            time(one.ignored_at),
            one.ignored_by.clone(),
            one.account.id.to_string(),
        ]
    })
}

/// The account and the users that it may belong to, a column each.
fn show(conflict: &ConflictView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(conflict);
    }
    let candidates = &conflict.candidates;
    screen
        .line(format!("{} in {} ({}):", conflict.account.dn, conflict.account.directory.name, conflict.account.id))?;
    let mut head = vec!["field".to_owned(), "the account".to_owned()];
    head.extend(candidates.iter().map(|one| format!("{} (by {})", one.user.id, one.found_by)));
    let described = conflict.described.as_ref();
    let text = |value: Option<&String>| text_or(value.map(String::as_str), "-");
    let mut rows = vec![
        row("user name", described.map(|one| &one.user_name), candidates.iter().map(|one| Some(&one.user.user_name))),
        row(
            "display name",
            described.and_then(|one| one.display_name.as_ref()),
            candidates.iter().map(|one| one.user.display_name.as_ref()),
        ),
        row(
            "given name",
            described.and_then(|one| one.given_name.as_ref()),
            candidates.iter().map(|one| one.user.given_name.as_ref()),
        ),
        row(
            "family name",
            described.and_then(|one| one.family_name.as_ref()),
            candidates.iter().map(|one| one.user.family_name.as_ref()),
        ),
        row(
            "e-mail",
            described.and_then(|one| one.email.as_ref()),
            candidates.iter().map(|one| one.user.email.as_ref()),
        ),
    ];
    let theirs: Vec<serde_json::Value> =
        candidates.iter().map(|one| serde_json::from_str(one.user.attributes.get()).unwrap_or_default()).collect();
    let all = described.into_iter().map(|one| &one.attributes).chain(&theirs);
    let names: BTreeSet<&String> =
        all.filter_map(|attributes| attributes.as_object()).flat_map(|all| all.keys()).collect();
    for name in names {
        let value = |attributes: &serde_json::Value| text(attributes[name].as_str().map(str::to_owned).as_ref());
        let mut cells = vec![name.clone(), described.map_or_else(|| "-".to_owned(), |one| value(&one.attributes))];
        cells.extend(theirs.iter().map(value));
        rows.push(cells);
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    screen.table(&head, rows)
}

fn row<'a>(
    name: &str,
    account: Option<&'a String>,
    candidates: impl Iterator<Item = Option<&'a String>>,
) -> Vec<String> {
    let text = |value: Option<&'a String>| text_or(value.map(String::as_str), "-");
    [name.to_owned(), text(account)].into_iter().chain(candidates.map(text)).collect()
}

/// The account and user that a decision is about, and what it does.
fn question(conflict: &ConflictView, what: &str) -> String {
    let account = &conflict.account;
    let (entry, directory, name) = (&account.dn, &account.directory.name, &conflict.user_name);
    let holder = match (conflict.holder, &conflict.holder_dn, conflict.holder_user_id) {
        (Holder::Nobody, ..) | (.., None) => "nobody any more; the next import resolves it".to_owned(),
        (Holder::Organization, _, Some(id)) => format!("the user {id}, whom the organization made"),
        (Holder::Gone, Some(dn), _) => format!("{dn}, which is gone from the directory"),
        (_, Some(dn), _) => dn.clone(),
        (_, None, Some(id)) => format!("the user {id}, who has no account"),
    };
    format!(
        "The entry {entry} of the directory {directory} claims the name {name}.\nHeld by: {holder}.\nThe entry {what}."
    )
}

/// Who has the name, for a list.
fn held_by(conflict: &ConflictView) -> String {
    match (conflict.holder, &conflict.holder_dn) {
        (Holder::Organization, _) => "the organization's user".to_owned(),
        (_, dn) => text_or(dn.as_deref(), "-"),
    }
}

/// How a conflict can end.
fn end(conflict: &ConflictView) -> &'static str {
    match (conflict.account.user_id, conflict.holder_user_id) {
        (None, None) if !conflict.candidates.is_empty() => "link or ignore",
        (_, None) => "the next import",
        (None, Some(_)) if conflict.outcome == Waiting::Ambiguous => "link --user, create-user or ignore",
        (None, _) if conflict.holder == Holder::Gone => "link, create-user or ignore",
        (None, _) if conflict.holder == Holder::Organization => "link, ignore, or another name for the user",
        _ => "another login in the directory",
    }
}

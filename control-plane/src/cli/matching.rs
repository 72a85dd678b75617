//! `postern matching`: the rules by which a new account of a directory finds its user.

use clap::Subcommand;
use postern_engine::identity::match_rules::MatchRule;

use super::super::api::matching::{MatchingRequest, MatchingView};
use super::client::Client;
use super::error::Error;
use super::name::Name;
use super::screen::{Screen, text_or};

/// Commands of `postern matching`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show how a new account of a directory finds its user
    Show {
        /// Name, display name or id of the directory
        directory: Name,
    },
    /// Set how a new account of a directory finds its user
    #[command(
        after_help = "The rules are tried in their order; the first that finds somebody counts. FIELD is user_name, \
        email, or attributes.NAME, such as attributes.employee_number. Without an expression the account's own value of \
        the field is looked for. An account that may belong to several users waits: `postern conflicts list`. Example: \
        postern matching set lab --by email --by \"attributes.employee_number=employeeID\""
    )]
    Set {
        /// Name, display name or id of the directory
        directory: Name,
        /// A rule: the field of users that is compared, and an expression in CEL over the account's attributes
        #[arg(long = "by", value_name = "FIELD[=EXPRESSION]", required_unless_present = "by_login")]
        by: Vec<String>,
        /// Without rules: by the login alone, as from the beginning
        #[arg(long, conflicts_with = "by")]
        by_login: bool,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let matching: MatchingView = match command {
        Command::Show { directory } => client.get(&format!("directories/{directory}/matching"), &[]).await?,
        Command::Set { directory, by, by_login: _ } => {
            let rules = by.iter().map(|text| rule(text)).collect();
            let path = format!("directories/{directory}/matching");
            client.replace(&path, None, &MatchingRequest { rules }).await?
        }
    };
    show(&matching, screen)
}

fn rule(text: &str) -> MatchRule {
    match text.split_once('=') {
        Some((field, expression)) => {
            MatchRule { field: field.trim().to_owned(), expression: Some(expression.trim().to_owned()) }
        }
        None => MatchRule { field: text.trim().to_owned(), expression: None },
    }
}

fn show(matching: &MatchingView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(matching);
    }
    if matching.rules.is_empty() {
        return screen.line(format!("{}: a new account finds its user by its login.", matching.directory));
    }
    let row = |(place, rule): (usize, &MatchRule)| {
        vec![(place + 1).to_string(), rule.field.clone(), text_or(rule.expression.as_deref(), "-")]
    };
    screen.table(&["place", "field", "expression"], matching.rules.iter().enumerate().map(row))
}

//! `postern attributes`: attributes that the organization defines for its users.

use clap::Subcommand;
use postern_engine::records::AttributeType;

use super::super::api::attributes::AttributeView;
use super::choice::choice;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, word, yes_no};

/// Commands of `postern attributes`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the defined attributes
    List(ListArgs),
    /// Define an attribute, before users have values of this name
    Define {
        /// Name: a to z, 0 to 9 and _, the first a letter
        name: String,
        /// What values it takes
        #[arg(long = "type", value_parser = choice::<AttributeType>(), default_value = "string")]
        kind: AttributeType,
        /// Required when you create a user
        #[arg(long)]
        required: bool,
        /// No two users have the same value
        #[arg(long)]
        unique: bool,
        /// Mask its values in the audit log and in reports
        #[arg(long)]
        sensitive: bool,
    },
    /// Remove a definition; users keep their values
    Remove {
        /// Name of the attribute
        name: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List(args) => {
            let found: Found<AttributeView> = client.list("attributes", &[], args.most()).await?;
            screen.list(&found, &args, &["name", "type", "required", "unique", "sensitive"], |attribute| {
                let flags = [attribute.required, attribute.unique, attribute.sensitive].map(yes_no).map(str::to_owned);
                [attribute.name.clone(), word(&attribute.kind)].into_iter().chain(flags).collect()
            })
        }
        Command::Define { name, kind, required, unique, sensitive } => {
            let request = AttributeView { name, kind, required, unique, sensitive };
            let made: AttributeView = client.post("attributes", &request).await?;
            let text = format!(
                "The attribute {} is defined. That holds for values from now on; those that users have already, as from \
                 imports, stay.",
                made.name
            );
            screen.done(&made.name, "defined", &text)
        }
        Command::Remove { name, yes } => {
            yes.or_ask(&format!("Users keep their values of {name}; they are no longer checked."))?;
            client.delete(&format!("attributes/{name}")).await?;
            screen.done(&name, "removed", "The definition is removed.")
        }
    }
}

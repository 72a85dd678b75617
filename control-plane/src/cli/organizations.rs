//! `postern organizations`: works on the database itself, with or without a running server, because a new control plane
//! has no token yet.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use postern_engine::records::{Organization, OrganizationId, PageRequest};
use postern_engine::services::organizations::{OrganizationName, Organizations, OwnerToken};
use postern_engine::services::{self, DatabaseUrl};
use postern_runtime::clock::SystemClock;
use secrecy::SecretString;

use super::error::Error;
use super::list::{Found, ListArgs};
use super::screen::{Screen, time};
use crate::{config, home};

/// More organizations than any list needs.
const MAX_LISTED: u32 = 10_000;

/// Commands of `postern organizations`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an organization and print its first owner token, alone on the last line
    #[command(after_help = "The token is shown once. The command also works while the server runs. If the data \
    folder has no database yet, a new one is created, for `postern serve` with the same folder.")]
    Create {
        /// Name of the organization, unique in this control plane
        name: String,
        #[command(flatten)]
        database: Database,
    },
    /// Create another owner token for an organization, if all others are lost
    CreateToken {
        /// Name of the organization
        name: String,
        #[command(flatten)]
        database: Database,
    },
    /// List the organizations of this control plane
    List {
        #[command(flatten)]
        args: ListArgs,
        #[command(flatten)]
        database: Database,
    },
}

/// The database, as for `postern serve`.
#[expect(clippy::struct_field_names, reason = "the options are named after the fields")]
#[derive(Debug, Args)]
pub(super) struct Database {
    /// Folder of the database [default: /var/lib/postern or ./postern-data]
    #[arg(long, value_name = "DIR", env = "POSTERN__DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// PostgreSQL, postgres://…; without it the SQLite file in the data folder
    #[arg(long, value_name = "URL", env = "POSTERN__DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    /// File with the password for --database-url, readable by its owner only
    #[arg(long, value_name = "FILE", env = "POSTERN__DATABASE_PASSWORD_FILE", hide_env_values = true)]
    database_password_file: Option<PathBuf>,
}

impl Database {
    /// Opens an existing database.
    async fn open(&self) -> Result<Organizations, Error> {
        let (folder, url) = self.place()?;
        if url.file().is_some_and(|file| !file.is_file()) {
            return Err(Error::NoDatabase { folder });
        }
        open(&url).await
    }

    /// Opens a database, or creates it if its place was named: an organization may be created before the server first
    /// starts. Creates the folder but no parents, so that a typing error does not create an unused control plane.
    async fn open_or_make(&self) -> Result<Organizations, Error> {
        let (folder, url) = self.place()?;
        if let Some(file) = url.file().filter(|file| !file.is_file()) {
            let above = folder.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
            let named = self.data_dir.is_some() && above.is_some_and(Path::is_dir);
            if self.database_url.is_none() && !named && !folder.is_dir() {
                return Err(Error::NoDatabase { folder });
            }
            let failed = |source| Error::Io { what: "making the data folder", source };
            if self.database_url.is_none() {
                home::make_folder(&folder).map_err(failed)?;
            }
            home::make_database(file).map_err(failed)?;
            super::screen::note(made(file, &folder));
        }
        open(&url).await
    }

    fn place(&self) -> Result<(PathBuf, DatabaseUrl), Error> {
        // An empty variable counts as unset.
        let folder = self.data_dir.clone().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(config::default_data_dir);
        let password = config::PasswordSource { file: self.database_password_file.clone(), credential: None };
        let url = config::database(self.database_url.as_ref(), &password, &folder).map_err(Error::Configuration)?;
        Ok((folder, url))
    }
}

async fn open(url: &DatabaseUrl) -> Result<Organizations, Error> {
    if let Some(file) = url.file() {
        home::secure_database(file).map_err(Error::Modes)?;
    }
    Organizations::open(url, SystemClock::shared()).await.map_err(Error::Database)
}

/// A note after a database was created.
fn made(file: &Path, folder: &Path) -> String {
    let (file, folder) = (file.display(), folder.to_string_lossy());
    let folder = postern_runtime::plain::word(&folder);
    format!("new database created: {file}; start `postern serve --data-dir {folder}` with the same folder")
}

pub(super) async fn run(command: Command, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Create { name, database } => {
            // Checked before a database is created for it.
            let valid = OrganizationName::new(&name).map_err(|_| {
                Error::Usage("the name of an organization is 1 to 100 characters on one line".to_owned())
            })?;
            let created = database.open_or_make().await?.create(&valid).await;
            hand_out(&created.map_err(|error| refused(error, name))?, screen)
        }
        Command::CreateToken { name, database } => {
            let made = database.open().await?.create_token(&name).await;
            hand_out(&made.map_err(|error| refused(error, name))?, screen)
        }
        Command::List { args, database } => {
            let organizations = database.open().await?;
            let most = args.most().and_then(|most| u32::try_from(most).ok()).unwrap_or(MAX_LISTED);
            let page = organizations.list(&PageRequest::first(most)).await.map_err(Error::Database)?;
            let more = page.next.is_some();
            let rows = Found { items: page.items.into_iter().map(Row::from).collect::<Vec<_>>(), total: None, more };
            screen.list(&rows, &args, &["name", "id", "created"], |row| {
                vec![row.name.clone(), row.id.to_string(), time(row.created_at)]
            })
        }
    }
}

/// An organization as it is listed.
#[derive(serde::Serialize)]
struct Row {
    id: OrganizationId,
    name: String,
    created_at: Timestamp,
}

impl From<Organization> for Row {
    fn from(organization: Organization) -> Self {
        Self { id: organization.id, name: organization.name, created_at: organization.created_at }
    }
}

/// Explains why there is no token, with the given name.
fn refused(error: services::Error, name: String) -> Error {
    match error {
        services::Error::Conflict(_) => Error::OrganizationExists { name: name.trim().to_owned() },
        services::Error::NotFound(_) => Error::NoOrganization { name },
        other => Error::Database(other),
    }
}

/// Prints an owner token alone on the last line, where scripts expect it.
fn hand_out(OwnerToken { organization, token, text }: &OwnerToken, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        return screen.json(&serde_json::json!({
            "organization_id": organization.id, "organization": organization.name, "id": token.id, "token": text,
        }));
    }
    screen.line(format!(
        "Organization {} ({}). Its owner token is shown only now:",
        organization.name, organization.id
    ))?;
    screen.line(text)
}

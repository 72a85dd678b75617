//! `postern organizations`: works on the database itself, with or without a server beside it, because a new control
//! plane has no token yet.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use postern_runtime::clock::{Clock as _, SystemClock};
use postern_store::{DatabaseUrl, NewApiToken, Organization, OrganizationId, PageRequest, Role, Store};
use secrecy::SecretString;

use super::super::api::auth::new_token;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::screen::{Screen, time};
use crate::{config, home, secrets};

/// Name of the token that comes with an organization.
const FIRST_TOKEN: &str = "first owner";
/// More organizations than anybody reads.
const MAX_LISTED: u32 = 10_000;

/// Commands of `postern organizations`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create an organization and print its first owner token, alone on the last line
    #[command(after_help = "The token is shown once. It works also while the server runs. Where the data folder \
        holds no database yet, a new one is made, for `postern serve` with the same folder.")]
    Create {
        /// Name of the organization, unique in this control plane
        name: String,
        #[command(flatten)]
        database: Database,
    },
    /// Print another owner token of an organization, where all others are lost
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

/// Where the database is, as for `postern serve`.
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
    /// Opens the database of a control plane that is there already.
    async fn open(&self) -> Result<Store, Error> {
        let (folder, url) = self.place()?;
        if url.file().is_some_and(|file| !file.is_file()) {
            return Err(Error::NoDatabase { folder });
        }
        open(&url).await
    }

    /// The same, or a new one where somebody has named the place: a first organization may be there before the server.
    /// A folder is made, but none above it, so that a slip of the pen makes no control plane that nobody serves.
    async fn open_or_make(&self) -> Result<Store, Error> {
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
        // An empty variable says as much as none.
        let folder = self.data_dir.clone().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(config::default_data_dir);
        let password = config::PasswordSource { file: self.database_password_file.clone(), credential: None };
        let url = config::database(self.database_url.as_ref(), &password, &folder).map_err(Error::Configuration)?;
        Ok((folder, url))
    }
}

async fn open(url: &DatabaseUrl) -> Result<Store, Error> {
    if let Some(file) = url.file() {
        home::secure_database(file).map_err(Error::Modes)?;
    }
    Store::open(url).await.map_err(Error::Store)
}

/// What whoever made a database by this must know.
fn made(file: &Path, folder: &Path) -> String {
    let (file, folder) = (file.display(), folder.to_string_lossy());
    let folder = postern_runtime::plain::word(&folder);
    format!("new database created: {file}; start `postern serve --data-dir {folder}` with the same folder")
}

pub(super) async fn run(command: Command, screen: &mut Screen) -> Result<(), Error> {
    let now = SystemClock.now();
    match command {
        Command::Create { name, database } => {
            let name = valid_name(&name)?;
            let store = database.open_or_make().await?;
            let created = store.create_organization(&name, now).await;
            let organization = created.map_err(|error| match error {
                postern_store::Error::Conflict { .. } => Error::OrganizationExists { name },
                other => Error::Store(other),
            })?;
            hand_out(&store, &organization, now, screen).await
        }
        Command::CreateToken { name, database } => {
            let store = database.open().await?;
            let found = store.find_organization(&name).await.map_err(Error::Store)?;
            let organization = found.ok_or(Error::NoOrganization { name })?;
            hand_out(&store, &organization, now, screen).await
        }
        Command::List { args, database } => {
            let store = database.open().await?;
            let most = args.most().and_then(|most| u32::try_from(most).ok()).unwrap_or(MAX_LISTED);
            let page = store.list_organizations(&PageRequest::first(most)).await.map_err(Error::Store)?;
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

fn valid_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::Usage("the name of an organization is 1 to 100 characters on one line".to_owned()));
    }
    Ok(name.to_owned())
}

/// Makes an owner token and prints it alone on the last line, where scripts find it.
async fn hand_out(
    store: &Store,
    organization: &Organization,
    now: Timestamp,
    screen: &mut Screen,
) -> Result<(), Error> {
    let token = new_token();
    let new =
        NewApiToken { name: FIRST_TOKEN.to_owned(), hash: secrets::hash(&token), role: Role::Owner, expires_at: None };
    let made = store.create_api_token(organization.id, new, now).await.map_err(Error::Store)?;
    if screen.is_json() {
        return screen.json(&serde_json::json!({
            "organization_id": organization.id, "organization": organization.name, "id": made.id, "token": token,
        }));
    }
    screen.line(format!(
        "Organization {} ({}). Its owner token is shown only now:",
        organization.name, organization.id
    ))?;
    screen.line(token)
}

//! One directory, ready to be asked.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::bind_memory::BindMemory;
use crate::check::{self, Check};
use crate::config::{ConfigError, DirectoryConfig, MemberForm, Problem};
use crate::connection::{Connection, Servers};
use crate::enumerate::Enumeration;
use crate::error::Error;
use crate::lookup::{self, LookedUp};
use crate::search::is_encodable;
use crate::server_url::ServerUrl;
use crate::source::{self, Identity};
use crate::throttle::Throttle;
use crate::write::session::Pool;
use crate::write::{Done, Gate, Operation, run};

/// A configured directory. Cheap to clone; clones share what was learned of the servers, the bind throttle above all.
#[derive(Clone)]
pub struct Directory {
    servers: Arc<Servers>,
    identity: Arc<OnceCell<Identity>>,
    writers: Arc<Pool>,
}

impl Directory {
    /// Checks the configuration; reads no file and asks no server.
    pub fn new(config: DirectoryConfig) -> Result<Self, ConfigError> {
        Self::with_throttle(config, Arc::default())
    }

    /// Like [`new`](Self::new). With the first of `others` that has a server in common it counts refused binds together:
    /// neither a reload nor a second section for the same server gives a wrong password three more tries. Another
    /// password or `bind_dn` is tried at once all the same.
    pub fn beside<'a>(
        config: DirectoryConfig,
        others: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, ConfigError> {
        let others: Vec<&Self> = others.into_iter().collect();
        let memory = others.first().map(|other| Arc::clone(&other.servers.throttle.memory));
        Self::remembering(config, others, &memory.unwrap_or_default())
    }

    /// Like [`beside`](Self::beside), with the memory of refused binds that outlives the process.
    pub fn remembering<'a>(
        config: DirectoryConfig,
        others: impl IntoIterator<Item = &'a Self>,
        memory: &Arc<BindMemory>,
    ) -> Result<Self, ConfigError> {
        let shared = |other: &&Self| {
            let known = &other.servers;
            Arc::ptr_eq(&known.throttle.memory, memory)
                && config.urls.iter().any(|url| known.written().urls.contains(url))
        };
        let throttle = others.into_iter().find(shared).map(|other| Arc::clone(&other.servers.throttle));
        Self::with_throttle(config, throttle.unwrap_or_else(|| Arc::new(Throttle::remembering(Arc::clone(memory)))))
    }

    fn with_throttle(config: DirectoryConfig, throttle: Arc<Throttle>) -> Result<Self, ConfigError> {
        let mut problems = config.validation();
        let filters = [("users.filter", config.users.filter.as_deref())];
        let groups = config.groups.as_ref().map(|groups| ("groups.filter", groups.filter.as_deref()));
        for (key, filter) in filters.into_iter().chain(groups) {
            if problems.is_empty() && !filter.is_none_or(is_encodable) {
                problems.push(Problem { key, reason: "the LDAP client cannot encode this filter".to_owned() });
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError { directory: config.name, problems });
        }
        for warning in config.warnings() {
            tracing::warn!(directory = %config.name, key = warning.key, reason = %warning.reason, "directory.config.warning");
        }
        let urls = config.urls.iter().filter_map(|url| ServerUrl::parse(url).ok()).collect();
        let writers = Arc::new(Pool::new(&config));
        let servers = Arc::new(Servers::new(config, urls, throttle));
        Ok(Self { servers, identity: Arc::new(OnceCell::new()), writers })
    }

    /// The name by which the control plane knows this directory.
    pub fn name(&self) -> &str {
        &self.servers.config().name
    }

    /// The configuration; what it leaves open is filled in once a server was asked.
    pub fn config(&self) -> &DirectoryConfig {
        self.servers.config()
    }

    /// Whether nothing of the configuration is open any more.
    pub fn is_complete(&self) -> bool {
        self.servers.is_complete()
    }

    /// What the members of groups are here.
    pub fn member_form(&self) -> MemberForm {
        self.servers.config().member_form()
    }

    /// What kind of server this is and by what configuration it is read; asked once and remembered. Nobody asked for it, so
    /// that it does not bind where these credentials were refused lately.
    pub async fn identify(&self) -> Result<Identity, Error> {
        let ask = || async {
            self.servers.permit_unasked()?;
            let mut question = self.servers.question();
            loop {
                let mut connection = self.servers.open().await?;
                match self.identify_by(&mut connection).await {
                    Err(error) if question.is_worth_repeating(&connection, &error) => {}
                    answer => return answer,
                }
            }
        };
        self.identity.get_or_try_init(ask).await.copied()
    }

    async fn identify_by(&self, connection: &mut Connection) -> Result<Identity, Error> {
        let root = connection.root_dse().await?;
        source::identify(connection, self.servers.config(), &root).await
    }

    /// Reads all users, then all groups. Starts at once, inside the current tokio runtime.
    pub fn enumerate(&self, cancel: CancellationToken) -> Enumeration {
        Enumeration::start(Arc::clone(&self.servers), cancel)
    }

    /// One user by the unique attribute, another login or the DN, with the groups that list it.
    pub async fn lookup_user(&self, unique_value: &str) -> Result<LookedUp, Error> {
        lookup::lookup_user(&self.servers, unique_value).await
    }

    /// Carries out one change, or finds that it is done already. `gate` is asked when the entry was read, before anything
    /// is written. An error of the class [`Error::Write`] says how the operation ended.
    pub async fn operate(&self, operation: &Operation, gate: &dyn Gate) -> Result<Done, Error> {
        run::operate(&self.servers, &self.writers, operation, gate).await
    }

    /// Diagnoses everything between here and the first users, step by step.
    pub async fn check(&self) -> Vec<Check> {
        check::run(&self.servers).await
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Directory").field("name", &self.name()).finish_non_exhaustive()
    }
}

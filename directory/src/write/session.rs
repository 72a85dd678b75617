//! Connections for writing: a few, kept between operations, each used by one operation at a time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::syntax::Schema;
use super::unsettled::Unsettled;
use crate::config::DirectoryConfig;
use crate::connection::{Connection, Servers};
use crate::error::Error;
use crate::failure::Action;
use crate::flavour::Flavour;
use crate::judge::Judge;
use crate::names::Names;
use crate::root_dse::RootDse;
use crate::schema_entry;
use postern_dn::Dn;

/// A connection that was idle for longer is tried before it is trusted: firewalls drop connections without a word.
const TRUSTED_IDLE: Duration = Duration::from_secs(20);
/// How long such a try may take.
const TRY: Duration = Duration::from_secs(5);

/// One connection for writing, and what is known of its server.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) root: RootDse,
    pub(crate) names: Arc<Names>,
    pub(crate) schema: Arc<Schema>,
    /// Whether switches are hidden from us; asked once a container.
    pub(crate) judge: Judge,
    /// Who we are, where the configuration does not say by a DN.
    pub(crate) own_dn: Option<Dn>,
    /// The administrators' groups of Active Directory; nothing: not asked for yet.
    pub(crate) administrators: Option<Vec<Dn>>,
    /// A request that was sent and not answered.
    pub(crate) unanswered: Option<Action>,
    /// Something was written by the operation that has the session.
    pub(crate) has_written: bool,
    /// The attributes that writes bring back, where the server announces it.
    pub(crate) brought_back: Option<Vec<String>>,
    /// The entry as the last write left it, if that came with the answer.
    pub(crate) left: Option<Bytes>,
    since: Instant,
}

/// A session in use.
pub(crate) struct Lease {
    pub(crate) session: Session,
    /// Whether it was used before.
    pub(crate) is_old: bool,
    permit: OwnedSemaphorePermit,
}

/// The sessions of one directory.
pub(crate) struct Pool {
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    schema: OnceCell<Arc<Schema>>,
    pub(crate) unsettled: Unsettled,
    /// Held while a new entry looks for a name that no entry has.
    pub(crate) choosing: tokio::sync::Mutex<()>,
}

impl Pool {
    pub(crate) fn new(config: &DirectoryConfig) -> Self {
        let most = config.write.as_ref().map_or(1, |write| write.connections.max(1));
        Self {
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1))),
            schema: OnceCell::new(),
            unsettled: Unsettled::default(),
            choosing: tokio::sync::Mutex::default(),
        }
    }

    /// A session that works, after waiting for one to be free.
    pub(crate) async fn take(&self, servers: &Servers) -> Result<Lease, Error> {
        let permit = self.permit().await?;
        while let Some(mut session) = self.pop() {
            if session.works().await {
                return Ok(Lease { session, is_old: true, permit });
            }
        }
        let session = self.session(servers, servers.open().await?).await?;
        Ok(Lease { session, is_old: false, permit })
    }

    /// A new session with the server that was used a moment ago: only it can say what it did last.
    pub(crate) async fn take_at(&self, servers: &Servers, at: (usize, SocketAddr)) -> Result<Lease, Error> {
        let permit = self.permit().await?;
        let session = self.session(servers, servers.open_at(at.0, at.1).await?).await?;
        Ok(Lease { session, is_old: false, permit })
    }

    /// Takes a session back, if it can be used again.
    pub(crate) fn give(&self, lease: Lease) {
        let Lease { mut session, permit, .. } = lease;
        if session.connection.is_fresh() && session.unanswered.is_none() {
            session.has_written = false;
            session.since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        drop(permit);
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Canceled)
    }

    fn pop(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn session(&self, servers: &Servers, mut connection: Connection) -> Result<Session, Error> {
        let root = connection.root_dse().await?;
        let names = servers.names(&mut connection, &root).await?;
        let schema = match (self.schema.get(), &root.subschema) {
            (Some(schema), _) => Arc::clone(schema),
            (None, None) => Arc::default(),
            (None, Some(dn)) => match schema_entry::read(&mut connection, dn).await? {
                Some(kinds) => {
                    let schema = Arc::new(Schema::new(&kinds, root.flavour()));
                    Arc::clone(self.schema.get_or_init(async || schema).await)
                }
                // It may be shown later.
                None => Arc::default(),
            },
        };
        // Active Directory has no such request; there the configuration names the account.
        let own_dn = match root.flavour() {
            Flavour::ActiveDirectory => None,
            _ if servers.config().bind_dn.is_some() => None,
            _ => connection.own_dn().await?,
        };
        let since = Instant::now();
        let judge = Judge::new(servers.config(), root.flavour(), &names);
        Ok(Session {
            connection,
            root,
            names,
            schema,
            judge,
            own_dn,
            administrators: None,
            unanswered: None,
            has_written: false,
            brought_back: None,
            left: None,
            since,
        })
    }
}

impl Session {
    async fn works(&mut self) -> bool {
        if !self.connection.is_fresh() {
            return false;
        }
        self.since.elapsed() < TRUSTED_IDLE || matches!(timeout(TRY, self.connection.root_dse()).await, Ok(Ok(_)))
    }
}

//! The connection of a second look.

use std::sync::Arc;

use crate::connection::Connection;
use crate::names::Names;
use crate::one_server::OneServer;
use crate::root_dse::RootDse;

/// A connection to the server that is read, and what it says of itself.
pub(crate) struct Session {
    pub(crate) server: Arc<OneServer>,
    pub(crate) connection: Connection,
    pub(crate) root: RootDse,
    pub(crate) names: Arc<Names>,
}

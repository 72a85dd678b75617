//! One import reads one server. A name may have the addresses of several servers, and a load balancer leads to any of
//! its servers; a connection that is made anew during an import could reach one that lags. So it goes to the address of
//! the first connection, and the server must say the same of itself there.

use std::net::SocketAddr;

use crate::config::DirectoryConfig;
use crate::connection::{Connection, Servers};
use crate::error::Error;
use crate::flavour::Flavour;
use crate::root_dse::RootDse;
use crate::source::{self, Mark};

/// Connections that are made to reach the server again: a load balancer may lead to each of its servers in turn.
const TRIES: usize = 8;

/// The server that an import reads, and how to know it again.
#[derive(Debug)]
pub(crate) struct OneServer {
    /// Its place among the servers of its directory.
    server: usize,
    address: SocketAddr,
    /// What it calls itself, where its kind does so.
    identity: Option<String>,
    /// OpenLDAP has no name for itself, but says how far it is: no connection of the import may reach a server that is
    /// further back.
    marks: Vec<Mark>,
}

impl OneServer {
    /// The server at the other end of a connection. `marks` is how far it was when the import began.
    pub(crate) fn of(connection: &Connection, root: &RootDse, marks: &[Mark]) -> Self {
        let marks = if root.flavour() == Flavour::OpenLdap { marks.to_vec() } else { Vec::new() };
        Self { server: connection.server, address: connection.address, identity: root.server_identity.clone(), marks }
    }

    /// Another connection to this server, and what it says of itself.
    pub(crate) async fn open(&self, servers: &Servers) -> Result<(Connection, RootDse), Error> {
        for _ in 0..TRIES {
            let mut connection = servers.open_at(self.server, self.address).await?;
            let root = connection.root_dse().await?;
            if self.is_at(&mut connection, servers.config(), &root).await? {
                return Ok((connection, root));
            }
            tracing::debug!(directory = %servers.config().name, server = self.server, "directory.connection.other_server");
        }
        Err(Error::OtherServer)
    }

    async fn is_at(
        &self,
        connection: &mut Connection,
        config: &DirectoryConfig,
        root: &RootDse,
    ) -> Result<bool, Error> {
        if self.identity != root.server_identity {
            return Ok(false);
        }
        if self.marks.is_empty() {
            return Ok(true);
        }
        let now = source::context_marks(connection, config, root).await?;
        Ok(!is_behind(&now, &self.marks))
    }
}

/// Whether a server lacks a change that another one had.
fn is_behind(now: &[Mark], then: &[Mark]) -> bool {
    let has = |mark: &Mark| now.iter().any(|own| own.server == mark.server && own.value >= mark.value);
    !then.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_behind_when_it_lacks_the_change_of_any_other() {
        let marks = |values: &[(&str, &str)]| -> Vec<Mark> {
            values.iter().map(|(server, value)| Mark { server: (*server).into(), value: (*value).into() }).collect()
        };
        let then = marks(&[("000", "20261127110000"), ("001", "20261127120000")]);
        assert!(!is_behind(&then, &then) && !is_behind(&[], &[]));
        assert!(!is_behind(&marks(&[("000", "20261127110000"), ("001", "20261127130000"), ("002", "1")]), &then));
        assert!(is_behind(&marks(&[("000", "20261127105959"), ("001", "20261127130000")]), &then));
        assert!(is_behind(&marks(&[("001", "20261127130000")]), &then));
        assert!(is_behind(&[], &then));
    }
}

//! The bind, at every server that was reached: a second one that refuses is found before the first one fails.

use super::{CheckState, Diagnosis, Finding, several};
use crate::connection::{Connection, Servers};
use crate::error::Error;

impl Diagnosis<'_> {
    /// The first connection that was accepted.
    pub(super) async fn bind(&mut self, servers: &Servers, reached: Vec<Connection>) -> Option<Connection> {
        let total = reached.len();
        if total == 0 {
            return None;
        }
        let mut accepted = Vec::new();
        let mut refused = Vec::new();
        for mut connection in reached {
            match servers.bind(&mut connection).await {
                Ok(()) => accepted.push(connection),
                // Another server would count the same wrong password once more.
                Err(error) if is_counted(&error) && accepted.is_empty() => {
                    self.note("bind", Finding::failed(&error));
                    return None;
                }
                Err(error) => refused.push(error),
            }
        }
        let name = self.config.bind_dn.as_deref();
        let how = if name.is_some() { "accepted" } else { "accepted by client certificate" };
        let said = if total == 1 { how.to_owned() } else { format!("{how} by {} of {total} servers", accepted.len()) };
        let finding = match (refused.as_slice(), name) {
            ([], Some(name)) => Finding::passed(said.clone()).locally(format!("{said} as {name}")),
            ([only], _) if total == 1 => Finding::failed(only),
            _ if accepted.is_empty() => several(CheckState::Failed, &refused, "no server accepts the bind".to_owned()),
            _ => several(CheckState::Passed, &refused, said),
        };
        self.note("bind", finding);
        accepted.into_iter().next()
    }
}

fn is_counted(error: &Error) -> bool {
    match error {
        Error::Bind { refusal, .. } => refusal.counts(),
        Error::Throttled { .. } | Error::Secret(_) => true,
        _ => false,
    }
}

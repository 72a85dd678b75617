//! Whether the server reports which changes it has. Where it does not, an import cannot see that the server was set
//! back to an
//! older state.

use super::{CheckState, Diagnosis, Finding};
use crate::connection::Servers;
use crate::error::Error;
use crate::flavour::Flavour;
use crate::root_dse::RootDse;
use crate::source;

impl Diagnosis<'_> {
    pub(super) async fn source(&mut self, servers: &Servers, root: &RootDse) -> Option<()> {
        let flavour = root.flavour();
        let found = self.says_how_far(servers, root).await;
        let says = self.need("source", found)?;
        self.note("source", finding(flavour, says));
        Some(())
    }

    async fn says_how_far(&self, servers: &Servers, root: &RootDse) -> Result<bool, Error> {
        // An earlier step may have left its search in the middle.
        let mut connection = servers.open().await?;
        let source = source::read(&mut connection, self.config, root, &[]).await?;
        Ok(!source.marks.is_empty())
    }
}

fn finding(flavour: Flavour, says: bool) -> Finding {
    let unreadable = |attribute: &str| {
        let said = format!(
            "{attribute} cannot be read: an import cannot notice that the server was restored to an \
        older state"
        );
        Finding::new(CheckState::Warned, said)
    };
    match flavour {
        _ if says => Finding::passed("the server reports which changes it has"),
        Flavour::OpenLdap => unreadable("contextCSN of the suffix").cured_by(
            "let the bind account read contextCSN of the suffix; if the server has none, load the overlay syncprov",
        ),
        Flavour::ActiveDirectory => unreadable("invocationId")
            .cured_by("let the bind account read invocationId of the server's NTDS Settings object"),
        Flavour::Ds389 | Flavour::Generic => Finding::passed(
            "servers of this kind do not report which changes they \
        have",
        ),
    }
}

//! A second, direct look for entries that a finished enumeration did not bring. A server may end a search early and call
//! that a success, hide a container, or put a referral in the place of an entry. So absence is not believed before each
//! entry was looked for by its external id and by its last DN.

mod place;
mod session;
mod sight;
mod unindexed;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::place::Containers;
pub(crate) use self::session::Session;
use self::sight::external_id_of;
pub use self::sight::{NotVisible, Sight, Sought};
use self::unindexed::SecondReading;
pub(crate) use self::unindexed::{index_cure, is_refused_as_costly};
use crate::config::{DirectoryConfig, Scope};
use crate::connection::{Connection, Servers};
use crate::error::{Error, Phase, Progress, Step};
use crate::flavour::{Flavour, Switch, external_id_filter};
use crate::guard::is_reference;
use crate::kinds::{self, Kind};
use crate::one_server::OneServer;
use crate::raw_entry::RawEntry;
use crate::root_dse::RootDse;
use crate::search::{PagedSearch, Query};
use crate::sections::{Section, external_id_attributes};
use postern_dn::Dn;

/// Looks at the server that was enumerated, and at no other: another one may know more or less.
pub struct SecondLook {
    servers: Arc<Servers>,
    server: Option<Arc<OneServer>>,
    session: Option<Session>,
    /// What the import had.
    totals: Progress,
    containers: Containers,
    /// Users' and groups', where the server refuses the search for external ids.
    readings: [Option<SecondReading>; 2],
    /// The attribute that it does not search for.
    unindexed: Option<String>,
}

impl fmt::Debug for SecondLook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SecondLook").field("server", &self.server).finish_non_exhaustive()
    }
}

impl SecondLook {
    pub(crate) fn new(servers: Arc<Servers>, session: Option<Session>, totals: Progress) -> Self {
        let server = session.as_ref().map(|session| Arc::clone(&session.server));
        Self {
            servers,
            server,
            session,
            totals,
            containers: Containers::default(),
            readings: [None, None],
            unindexed: None,
        }
    }

    /// What became of each of these entries, in their order.
    pub async fn look(&mut self, sought: &[Sought]) -> Result<Vec<Sight>, Error> {
        let Some(server) = self.server.clone() else {
            return Ok(vec![Sight::NotVisible(NotVisible::Unavailable); sought.len()]);
        };
        if let Some(session) = self.session.take().filter(|session| session.connection.is_fresh()) {
            match self.look_with(session, sought).await {
                // It was idle, and the server may have closed it just now.
                Err(Error::Lost { .. }) => {}
                answer => return answer,
            }
        }
        let session = self.open(server).await?;
        self.look_with(session, sought).await
    }

    async fn look_with(&mut self, mut session: Session, sought: &[Sought]) -> Result<Vec<Sight>, Error> {
        let mut sights = vec![None; sought.len()];
        for phase in [Phase::Users, Phase::Groups] {
            let places: Vec<usize> = (0..sought.len()).filter(|at| sought[*at].phase == phase).collect();
            if !places.is_empty() {
                self.by_external_id(&mut session, phase, sought, &places, &mut sights).await?;
            }
        }
        let servers = Arc::clone(&self.servers);
        let config = servers.config();
        let flavour = session.root.flavour();
        let mut answers = Vec::with_capacity(sought.len());
        for (one, sight) in sought.iter().zip(sights) {
            let sight = if let Some(sight) = sight {
                sight
            } else {
                let filter = filter_of(config, flavour, one.phase);
                let attributes = &external_id_attributes(config, flavour, one.phase);
                let base_dns = base_dns(config, one.phase);
                let asked = place::Asked { one, attributes, filter, base_dns };
                match place::look(&mut session.connection, &asked, &mut self.containers).await? {
                    place::Found::Sight(sight) => sight,
                    // The search for its external id did not show it, but it stands where it stood.
                    place::Found::There(dn) => scope_of(&mut session, config, one.phase, &dn).await?,
                }
            };
            answers.push(sight);
        }
        self.session = Some(session);
        Ok(answers)
    }

    async fn open(&self, server: Arc<OneServer>) -> Result<Session, Error> {
        let (mut connection, root) = server.open(&self.servers).await?;
        let names = self.servers.names(&mut connection, &root).await?;
        Ok(Session { server, connection, root, names })
    }

    /// What an administrator should know of how it was looked.
    pub fn remark(&self) -> Option<String> {
        let attribute = self.unindexed.as_deref()?;
        Some(format!("the directory refuses to search for missing entries: {}", index_cure(attribute)))
    }

    /// Looks for all of one kind at once, everywhere, without the configured filter.
    async fn by_external_id(
        &mut self,
        session: &mut Session,
        phase: Phase,
        sought: &[Sought],
        places: &[usize],
        sights: &mut [Option<Sight>],
    ) -> Result<(), Error> {
        if self.readings[slot(phase)].is_some() {
            self.by_second_reading(phase, sought, places, sights);
            return Ok(());
        }
        let servers = Arc::clone(&self.servers);
        let (config, flavour) = (servers.config(), session.root.flavour());
        let attributes = external_id_attributes(config, flavour, phase);
        let one = |at: &usize| {
            attributes.iter().map(|name| external_id_filter(name, &sought[*at].external_id)).collect::<String>()
        };
        let conditions: String = places.iter().map(one).collect();
        let filter = format!("(|{conditions})");
        let base_dns = base_dns(config, phase);
        let found = match everywhere(&mut session.connection, &session.root, base_dns, &filter, &attributes).await {
            Err(error) if is_refused_as_costly(&error) => {
                let attribute = *attributes.first().unwrap_or(&flavour.external_id_attribute());
                let cure = index_cure(attribute);
                tracing::warn!(directory = %config.name, %error, cure, "directory.second_look.unindexed");
                self.unindexed = Some(attribute.to_owned());
                if !session.connection.is_fresh() {
                    *session = self.open(Arc::clone(&session.server)).await?;
                }
                let expected = if phase == Phase::Users { self.totals.users } else { self.totals.groups };
                self.readings[slot(phase)] = Some(SecondReading::of(session, config, phase, expected).await?);
                self.by_second_reading(phase, sought, places, sights);
                return Ok(());
            }
            found => found?,
        };
        for at in places {
            if let Some(dn) = found.get(&sought[*at].external_id) {
                sights[*at] = Some(scope_of(session, config, phase, dn).await?);
            }
        }
        Ok(())
    }

    /// Who is in the bases should have come. Who is not, is looked for by its last DN, unless the reading may have been
    /// cut too: then nobody can say.
    fn by_second_reading(&self, phase: Phase, sought: &[Sought], places: &[usize], sights: &mut [Option<Sight>]) {
        let Some(reading) = &self.readings[slot(phase)] else { return };
        for at in places {
            if reading.has(&sought[*at].external_id) {
                sights[*at] = Some(Sight::InScope);
            } else if !reading.is_whole() {
                sights[*at] = Some(Sight::NotVisible(NotVisible::Unavailable));
            }
        }
    }
}

/// What can be said of one entry that the search for its external id does not find: only its last place counts.
pub(crate) async fn is_absent(
    connection: &mut Connection,
    config: &DirectoryConfig,
    flavour: Flavour,
    one: &Sought,
) -> Result<Sight, Error> {
    let filter = filter_of(config, flavour, one.phase);
    let attributes = &external_id_attributes(config, flavour, one.phase);
    let asked = place::Asked { one, attributes, filter, base_dns: base_dns(config, one.phase) };
    Ok(match place::look(connection, &asked, &mut Containers::default()).await? {
        place::Found::Sight(sight) => sight,
        place::Found::There(_) => Sight::InScope,
    })
}

/// By which an import finds entries of a kind.
fn filter_of(config: &DirectoryConfig, flavour: Flavour, phase: Phase) -> &str {
    match (phase, config.group_entries()) {
        (Phase::Groups, Some(groups)) => groups.filter.as_deref().unwrap_or(flavour.group_filter()),
        (Phase::Groups, None) => flavour.group_filter(),
        (Phase::Users, _) => config.users.filter.as_deref().unwrap_or(flavour.user_filter()),
    }
}

fn base_dns(config: &DirectoryConfig, phase: Phase) -> &[String] {
    match phase {
        Phase::Users => &config.users.base_dns,
        // Groups are not read any more: those that are known have left the configuration.
        Phase::Groups => config.group_entries().map_or(&config.users.base_dns, |groups| &groups.base_dns),
    }
}

fn slot(phase: Phase) -> usize {
    match phase {
        Phase::Users => 0,
        Phase::Groups => 1,
    }
}

/// The DNs of all entries that match, by external id: below the server's roots, and below the bases of a root that may
/// not be searched as a whole.
pub(crate) async fn everywhere(
    connection: &mut Connection,
    root: &RootDse,
    base_dns: &[String],
    filter: &str,
    attributes: &[&str],
) -> Result<HashMap<String, String>, Error> {
    let mut found = HashMap::new();
    // No entry leaves its naming context under its external id; the others hold changelogs and the like. Not the default
    // one: that of 389 Directory Server may be its changelog.
    let holds_a_base = |root: &&String| base_dns.iter().any(|base| is_within(base, root));
    let roots: Vec<String> = root.naming_contexts.iter().filter(holds_a_base).cloned().collect();
    let mut searched = Vec::new();
    for root in roots {
        match below(connection, &root, filter, attributes, &mut found).await {
            Ok(()) => searched.push(root),
            // It may not be searched as a whole.
            Err(Error::Refused { code: 3 | 4 | 10 | 11 | 32 | 50 | 53, .. } | Error::NoPaging) => {}
            Err(error) => return Err(error),
        }
    }
    for base in base_dns.iter().filter(|base| !searched.iter().any(|root| is_within(base, root))) {
        below(connection, base, filter, attributes, &mut found).await?;
    }
    Ok(found)
}

async fn below(
    connection: &mut Connection,
    base_dn: &str,
    filter: &str,
    ids: &[&str],
    found: &mut HashMap<String, String>,
) -> Result<(), Error> {
    let attributes: Vec<String> = ids.iter().map(|name| (*name).to_owned()).collect();
    let never = CancellationToken::new();
    let query = Query { base_dn, scope: Scope::Subtree, filter, attributes: &attributes, page_size: 200 };
    let mut search = PagedSearch::new(connection, query, &never);
    while let Some(batch) = search.next().await? {
        for message in batch.iter().filter(|message| !is_reference(message)) {
            if let Ok(entry) = RawEntry::parse(message)
                && let Some(id) = external_id_of(&entry, ids)
            {
                found.insert(id, entry.dn().to_owned());
            }
        }
    }
    Ok(())
}

/// Whether an entry that is there should have come. Of a user who should not, whether the directory lets that user in.
async fn scope_of(session: &mut Session, config: &DirectoryConfig, phase: Phase, dn: &str) -> Result<Sight, Error> {
    match place_of(session, config, phase, dn).await? {
        Sight::LeftScope if phase == Phase::Users => disabled_or_not(session, config, dn).await,
        sight => Ok(sight),
    }
}

/// People are often disabled and moved away in one step, so that no import has seen the switch. What cannot be read says
/// nothing.
async fn disabled_or_not(session: &mut Session, config: &DirectoryConfig, dn: &str) -> Result<Sight, Error> {
    let Session { connection, root, names, .. } = session;
    let section = Section::users(config, root.flavour(), names);
    match connection.read_entry(dn, "(objectClass=*)", &section.requested, Step::Search).await {
        Ok(Some(message)) => {
            let selected = section.selection.select(&message, &mut Vec::new());
            let off = selected.is_ok_and(|selected| selected.entry.switch == Switch::Off);
            Ok(if off { Sight::LeftScopeDisabled } else { Sight::LeftScope })
        }
        Ok(None) | Err(Error::Refused { .. }) => Ok(Sight::LeftScope),
        Err(error) => Err(error),
    }
}

/// Whether an entry that is there should have come.
async fn place_of(session: &mut Session, config: &DirectoryConfig, phase: Phase, dn: &str) -> Result<Sight, Error> {
    let Session { connection, root, names, .. } = session;
    let section = match phase {
        Phase::Users => Some(Section::users(config, root.flavour(), names)),
        Phase::Groups => Section::groups(config, root.flavour(), names, false),
    };
    let Some(section) = section else { return Ok(Sight::LeftScope) };
    if !section.base_dns.iter().any(|base| reaches(base, section.scope, dn)) {
        return Ok(Sight::LeftScope);
    }
    let mut attributes: Vec<String> =
        kinds::attributes(root.flavour(), phase).iter().map(|name| (*name).to_owned()).collect();
    if attributes.is_empty() {
        attributes.push("1.1".to_owned());
    }
    match connection.read_entry(dn, &section.filter, &attributes, Step::Search).await {
        // An import leaves it out by now.
        Ok(Some(message)) if Kind::of(root.flavour(), &message, dn).left_out(config.include_builtin).is_some() => {
            Ok(Sight::LeftScope)
        }
        Ok(Some(_)) => Ok(Sight::InScope),
        Ok(None) => without_match(connection, dn, &section.filter).await,
        // Code 32 too: it was there a moment ago, and may have been moved within the scope. The next import says so.
        Err(Error::Refused { .. }) => Ok(Sight::NotVisible(NotVisible::Unavailable)),
        Err(error) => Err(error),
    }
}

/// An entry that does not match the filter has left it, unless an attribute that the filter asks about is hidden: then
/// neither the filter nor its opposite is true (RFC 4511 §4.5.1.7).
async fn without_match(connection: &mut Connection, dn: &str, filter: &str) -> Result<Sight, Error> {
    let opposite = format!("(!{filter})");
    match connection.read_entry(dn, &opposite, &["1.1".to_owned()], Step::Search).await {
        Ok(Some(_)) => Ok(Sight::LeftScope),
        Ok(None) | Err(Error::Refused { .. }) => Ok(Sight::NotVisible(NotVisible::Unavailable)),
        Err(error) => Err(error),
    }
}

/// The external id of an entry, where it can be read.
fn is_within(dn: &str, base: &str) -> bool {
    match (Dn::parse(dn), Dn::parse(base)) {
        (Ok(dn), Ok(base)) => dn.is_within(&base),
        _ => false,
    }
}

/// Whether a search of this scope from this base comes to an entry.
fn reaches(base: &str, scope: Scope, dn: &str) -> bool {
    let (Ok(dn), Ok(base)) = (Dn::parse(dn), Dn::parse(base)) else { return true };
    let depth = dn.rdns().len().checked_sub(base.rdns().len());
    dn.is_within(&base)
        && match scope {
            Scope::Base => depth == Some(0),
            Scope::One => depth == Some(1),
            Scope::Subtree => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_reaches_what_its_scope_holds() {
        let base = "ou=people,dc=x";
        for (dn, base_only, one, subtree) in [
            ("OU=People, dc=x", true, false, true),
            ("uid=a,ou=people,dc=x", false, true, true),
            ("uid=a,ou=b,ou=people,dc=x", false, false, true),
            ("uid=a,ou=leavers,dc=x", false, false, false),
        ] {
            let reached = [Scope::Base, Scope::One, Scope::Subtree].map(|scope| reaches(base, scope, dn));
            assert_eq!(reached, [base_only, one, subtree], "{dn}");
        }
    }
}

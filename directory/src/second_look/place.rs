//! The last place of an entry that is found nowhere by its external id: what stands there now, and whether the
//! container can be read well enough to say that the entry is gone. Nothing is asked about DNs outside of the base DNs: the
//! answers would show a control plane what exists there.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::sight::{NotVisible, Sight, Sought, external_id_of};
use crate::config::Scope;
use crate::connection::Connection;
use crate::error::{Error, Phase, Step};
use crate::raw_entry::RawEntry;
use crate::search::{Object, PagedSearch, Query};
use postern_dn::Dn;

const ANY: &str = "(objectClass=*)";
/// 389 Directory Server counts these among the children and returns them only where the filter names them.
const ANY_CHILD: &str = "(|(objectClass=*)(objectClass=ldapsubentry))";
/// The answer for a place outside of the base DNs, the same as for one that does not exist.
const OUTSIDE: Sight = Sight::NotVisible(NotVisible::ContainerNotFound);
/// Containers whose state is remembered; with more, all are looked at again.
const MOST_CONTAINERS: usize = 10_000;
/// No name is deeper than this.
const MOST_LEVELS: usize = 64;

/// One entry, and how to know it.
pub(super) struct Asked<'a> {
    pub(super) one: &'a Sought,
    pub(super) attributes: &'a [&'a str],
    /// By which an import finds entries of its kind.
    pub(super) filter: &'a str,
    /// Where an import looks for its kind.
    pub(super) base_dns: &'a [String],
}

impl Asked<'_> {
    fn is_outside(&self, dn: &Dn) -> bool {
        !self.base_dns.iter().any(|base| Dn::parse(base).is_ok_and(|base| dn.is_within(&base)))
    }
}

/// What was found at the last DN.
pub(super) enum Found {
    /// The entry itself.
    There(String),
    /// An answer.
    Sight(Sight),
}

/// What a container says of the entries that are not found in it. It is looked at once for all of them.
#[derive(Debug, Default)]
pub(super) struct Containers(HashMap<(Phase, String), Sight>);

/// A container as the server shows it.
enum Container {
    Readable { children: Option<u64>, has_children: Option<bool> },
    Unreadable,
    NotFound,
    Unavailable,
}

pub(super) async fn look(
    connection: &mut Connection,
    asked: &Asked<'_>,
    containers: &mut Containers,
) -> Result<Found, Error> {
    let dn = asked.one.last_dn.as_str();
    let Ok(parsed) = Dn::parse(dn) else { return Ok(Found::Sight(Sight::NotVisible(NotVisible::Unavailable))) };
    if parsed.is_root() {
        // There is no last place to look at, so the search for its external id is all there is.
        return Ok(Found::Sight(Sight::NotVisible(NotVisible::ContainerUnreadable)));
    }
    if asked.is_outside(&parsed) {
        return Ok(Found::Sight(OUTSIDE));
    }
    let attributes: Vec<String> = asked.attributes.iter().map(|name| (*name).to_owned()).collect();
    let unseen = |reason| Ok(Found::Sight(Sight::NotVisible(reason)));
    match connection.read_object(dn, ANY, &attributes, Step::Search).await {
        Ok(Object::Reference) | Err(Error::Refused { code: 10, .. }) => return unseen(NotVisible::Referral),
        Ok(Object::Entry(message)) => {
            let Ok(entry) = RawEntry::parse(&message) else { return unseen(NotVisible::NoExternalId) };
            match external_id_of(&entry, asked.attributes) {
                Some(id) if id == asked.one.external_id => return Ok(Found::There(entry.dn().to_owned())),
                // Somebody else has the name now.
                Some(_) => {}
                None => return unseen(NotVisible::NoExternalId),
            }
        }
        // Something is there that may not be seen: where nothing is, servers say 32.
        Ok(Object::Nothing) => return unseen(NotVisible::NoExternalId),
        Err(Error::Refused { code: 32, .. }) => {}
        Err(Error::Refused { code: 50, .. }) => return unseen(NotVisible::ContainerUnreadable),
        Err(Error::Refused { .. }) => return unseen(NotVisible::Unavailable),
        Err(error) => return Err(error),
    }
    let Some(parent) = parsed.parent() else { return unseen(NotVisible::ContainerUnreadable) };
    containers.judge(connection, asked, &parent).await.map(Found::Sight)
}

impl Containers {
    /// Whether an entry that is not found right below `container` is gone.
    async fn judge(&mut self, connection: &mut Connection, asked: &Asked<'_>, container: &Dn) -> Result<Sight, Error> {
        let key = (asked.one.phase, container.normalized());
        if let Some(known) = self.0.get(&key) {
            return Ok(*known);
        }
        let sight = judge(connection, container, asked).await?;
        if self.0.len() >= MOST_CONTAINERS {
            self.0.clear();
        }
        self.0.insert(key, sight);
        Ok(sight)
    }
}

async fn judge(connection: &mut Connection, container: &Dn, asked: &Asked<'_>) -> Result<Sight, Error> {
    let (mut at, filter) = (container.clone(), asked.filter);
    for level in 0..MOST_LEVELS {
        if at.is_root() || asked.is_outside(&at) {
            break;
        }
        let name = at.to_string();
        match read(connection, &name, filter).await? {
            Container::Readable { children, has_children } => {
                let all = sees_all(connection, &name, filter, children, has_children).await?;
                return Ok(match (all, level) {
                    (Some(false), _) => Sight::NotVisible(NotVisible::HiddenChildren),
                    // Above the entry's own container: that one is gone with all that it held, as its container says.
                    (_, 0) | (Some(true), _) => Sight::Absent,
                    _ => Sight::NotVisible(NotVisible::ContainerNotFound),
                });
            }
            Container::Unreadable => return Ok(Sight::NotVisible(NotVisible::ContainerUnreadable)),
            Container::Unavailable => return Ok(Sight::NotVisible(NotVisible::Unavailable)),
            Container::NotFound => {}
        }
        let Some(parent) = at.parent() else { break };
        at = parent;
    }
    Ok(OUTSIDE)
}

async fn read(connection: &mut Connection, name: &str, filter: &str) -> Result<Container, Error> {
    let attributes = ["numSubordinates".to_owned(), "hasSubordinates".to_owned()];
    Ok(match connection.read_object(name, ANY, &attributes, Step::Search).await {
        Ok(Object::Entry(message)) => {
            let Ok(entry) = RawEntry::parse(&message) else { return Ok(Container::Unreadable) };
            let text = |attribute| {
                let values = entry.values_of(attribute).ok()?;
                Some(std::str::from_utf8(values.first()?).ok()?.to_owned())
            };
            Container::Readable {
                children: text("numSubordinates").and_then(|number| number.parse().ok()),
                has_children: text("hasSubordinates").map(|word| word.eq_ignore_ascii_case("TRUE")),
            }
        }
        // Some readers may see people and not the container that they are in.
        Ok(Object::Nothing) if shows_a_child(connection, name, filter).await? => {
            Container::Readable { children: None, has_children: None }
        }
        Ok(Object::Nothing | Object::Reference) | Err(Error::Refused { code: 10 | 50, .. }) => Container::Unreadable,
        Err(Error::Refused { code: 32, .. }) => Container::NotFound,
        Err(Error::Refused { .. }) => Container::Unavailable,
        Err(error) => return Err(error),
    })
}

/// Whether all direct children can be seen; `None` where the server does not say how many there are.
async fn sees_all(
    connection: &mut Connection,
    name: &str,
    filter: &str,
    children: Option<u64>,
    has_children: Option<bool>,
) -> Result<Option<bool>, Error> {
    match (children, has_children) {
        (Some(0), _) | (None, Some(false)) => Ok(Some(true)),
        (Some(said), _) => {
            if count_children(connection, name).await? >= said {
                return Ok(Some(true));
            }
            // Some may have been deleted while they were counted.
            let Container::Readable { children: Some(now), .. } = read(connection, name, filter).await? else {
                return Ok(Some(false));
            };
            Ok(Some(now < said && count_children(connection, name).await? >= now))
        }
        (None, Some(true)) => Ok(if shows_a_child(connection, name, filter).await? { None } else { Some(false) }),
        (None, None) => Ok(None),
    }
}

async fn shows_a_child(connection: &mut Connection, name: &str, filter: &str) -> Result<bool, Error> {
    let attributes = ["1.1".to_owned()];
    // The second for a server that refuses to look at all of many children; for the one of an import it has an index.
    for filter in [ANY, filter] {
        let query = Query { base_dn: name, scope: Scope::One, filter, attributes: &attributes, page_size: 1 };
        match connection.count_first_page(query).await {
            Ok(answers) => return Ok(answers > 0),
            Err(Error::Refused { code: 3 | 4 | 11 | 53, .. }) => {}
            Err(Error::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

async fn count_children(connection: &mut Connection, name: &str) -> Result<u64, Error> {
    let attributes = ["1.1".to_owned()];
    let never = CancellationToken::new();
    let query = Query { base_dn: name, scope: Scope::One, filter: ANY_CHILD, attributes: &attributes, page_size: 500 };
    let mut search = PagedSearch::new(connection, query, &never);
    let mut count = 0;
    loop {
        match search.next().await {
            // A reference is a child too.
            Ok(Some(batch)) => count += batch.len() as u64,
            // What could not be counted was not seen.
            Ok(None) | Err(Error::Refused { .. } | Error::NoPaging) => return Ok(count),
            Err(error) => return Err(error),
        }
    }
}

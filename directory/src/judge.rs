//! Whether a switch that an entry does not show is absent or hidden from us. Servers answer both alike; with one look at an
//! entry of each container they can be distinguished, at no cost for each entry.
//!
//! 389 Directory Server says what rights we have (Get Effective Rights). Others are asked for the entry by a filter that is
//! true of every entry whose attribute we may search, and undefined of one whose attribute is hidden (RFC 4511 §4.5.1.7).

use std::collections::HashMap;
use std::time::SystemTime;

use bytes::Bytes;

use crate::config::DirectoryConfig;
use crate::connection::Connection;
use crate::entry::Selected;
use crate::error::{Error, Step};
use crate::flavour::{Flavour, Switch};
use crate::names::Names;
use crate::raw_entry::RawEntry;

/// So many containers are remembered; of further ones, only the last.
const MOST_CONTAINERS: usize = 1_000;
/// The Get Effective Rights control (draft-ietf-ldapext-acl-model).
const EFFECTIVE_RIGHTS: &str = "1.3.6.1.4.1.42.2.27.9.5.2";

/// The judge of one reading of a directory.
pub(crate) struct Judge {
    flavour: Flavour,
    /// By whose rights the server is asked what we see.
    bind_dn: Option<String>,
    /// Which switches the server has at all.
    known: u8,
    /// Which switches are hidden in a container.
    containers: HashMap<String, u8>,
    last: Option<(String, u8)>,
    /// After how many seconds without a login the accounts of a policy are off.
    policies: HashMap<String, Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Unreadable,
    Never,
    Seconds(i64),
}

impl Judge {
    /// What is in no schema is hidden from nobody. A server that hides its schema may have every switch.
    pub(crate) fn new(config: &DirectoryConfig, flavour: Flavour, names: &Names) -> Self {
        let (containers, policies) = (HashMap::new(), HashMap::new());
        let known = which(flavour, |name| flavour == Flavour::Ds389 || names.in_schema(name) != Some(false));
        Self { flavour, bind_dn: config.bind_dn.clone(), known, containers, last: None, policies }
    }

    /// Which switches an entry may have that it does not show.
    fn absent(&self, selected: &Selected) -> u8 {
        selected.absent & self.known
    }

    /// Whether the server must be asked before this entry's switch can be trusted.
    pub(crate) fn must_ask(&self, selected: &Selected) -> bool {
        let hideable = self.absent(selected) != 0 && self.hidden_in(container(&selected.entry.dn)).is_none();
        let policy = selected.inactivity.as_ref().is_some_and(|it| !self.policies.contains_key(&it.policy));
        selected.entry.switch.is_on() && (hideable || policy)
    }

    /// Asks the server what [`Self::must_ask`] found wanting.
    pub(crate) async fn ask(&mut self, connection: &mut Connection, selected: &Selected) -> Result<(), Error> {
        let container = container(&selected.entry.dn);
        if self.absent(selected) != 0 && self.hidden_in(container).is_none() {
            let hidden = self.look(connection, &selected.entry.dn).await?;
            if self.containers.len() < MOST_CONTAINERS {
                self.containers.insert(container.to_owned(), hidden);
            }
            self.last = Some((container.to_owned(), hidden));
        }
        if let Some(inactivity) = &selected.inactivity
            && !self.policies.contains_key(&inactivity.policy)
            && self.policies.len() < MOST_CONTAINERS
        {
            let limit = read_limit(connection, &inactivity.policy).await?;
            self.policies.insert(inactivity.policy.clone(), limit);
        }
        Ok(())
    }

    /// Makes the switch unknown where it may be hidden, and off where nobody has signed in for too long. `now` in seconds
    /// since 1970.
    pub(crate) fn settle(&self, selected: &mut Selected, now: i64) {
        // What is over is off, whatever is hidden beside it.
        let over = matches!(selected.entry.switch, Switch::OnUntil(end) if end <= now);
        if over || !selected.entry.switch.is_on() {
            return;
        }
        let absent = self.absent(selected);
        let hidden = self.hidden_in(container(&selected.entry.dn)).unwrap_or(absent) & absent;
        if let Some(attribute) = self.flavour.hideable().get(hidden.trailing_zeros() as usize).filter(|_| hidden != 0) {
            selected.entry.switch = Switch::Unknown;
            selected.unreadable = Some(attribute);
            return;
        }
        let Some(inactivity) = &selected.inactivity else { return };
        let (switch, unreadable) = match (self.policies.get(&inactivity.policy), inactivity.since) {
            (Some(Limit::Never), _) => return,
            (Some(Limit::Seconds(limit)), Some(since)) if now <= since.saturating_add(*limit) => return,
            (Some(Limit::Seconds(_)), Some(_)) => (Switch::Off, None),
            (Some(Limit::Seconds(_)), None) => (Switch::Unknown, Some("lastLoginTime")),
            (Some(Limit::Unreadable) | None, _) => (Switch::Unknown, Some("accountInactivityLimit")),
        };
        (selected.entry.switch, selected.unreadable) = (switch, unreadable);
    }

    /// All of it on a connection that serves nothing else.
    pub(crate) async fn decide(&mut self, connection: &mut Connection, selected: &mut Selected) -> Result<(), Error> {
        if self.must_ask(selected) {
            self.ask(connection, selected).await?;
        }
        self.settle(selected, now());
        Ok(())
    }

    fn hidden_in(&self, container: &str) -> Option<u8> {
        let last = self.last.as_ref().filter(|(known, _)| known == container).map(|(_, hidden)| *hidden);
        last.or_else(|| self.containers.get(container).copied())
    }

    /// Which switches of this entry are hidden from us.
    async fn look(&self, connection: &mut Connection, dn: &str) -> Result<u8, Error> {
        let known = self.known;
        if self.flavour == Flavour::Ds389 {
            return self.without_right(connection, dn).await;
        }
        if known == 0 || is_found(connection, dn, &self.visible(known)).await? {
            return Ok(0);
        }
        let mut hidden = 0;
        for bit in (0..u8::BITS).map(|place| 1 << place).filter(|bit| known & bit != 0) {
            if !is_found(connection, dn, &self.visible(bit)).await? {
                hidden |= bit;
            }
        }
        Ok(hidden)
    }

    /// True of every entry of which we may search these switches.
    fn visible(&self, switches: u8) -> String {
        let clauses = self.flavour.hideable().iter().enumerate().filter(|(place, _)| switches & (1 << place) != 0);
        let clauses: Vec<String> = clauses.map(|(_, name)| format!("(|({name}=*)(!({name}=*)))")).collect();
        format!("(&{})", clauses.concat())
    }

    /// Which switches of this entry we have no right to read, as the server says.
    async fn without_right(&self, connection: &mut Connection, dn: &str) -> Result<u8, Error> {
        let all = which(self.flavour, |_| true);
        let Some(bind_dn) = &self.bind_dn else { return Ok(all) };
        let names: Vec<String> = self.flavour.hideable().iter().map(|name| (*name).to_owned()).collect();
        let subject = format!("dn:{bind_dn}");
        let asked = connection.read_entry_with(dn, &names, (EFFECTIVE_RIGHTS, subject.into_bytes())).await;
        let Some(message) = answered(asked)? else { return Ok(all) };
        let rights = values(&message, "attributeLevelRights");
        let rights: Vec<String> =
            rights.iter().map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect();
        let may_read = |name: &str| {
            let items = rights.iter().flat_map(|value| value.split(','));
            let mut rights = items.filter_map(|item| item.trim().split_once(':'));
            rights.any(|(known, rights)| known.eq_ignore_ascii_case(name) && rights != "none" && rights.contains('r'))
        };
        Ok(which(self.flavour, |name| !may_read(name)))
    }
}

/// Of the switches of a flavour that may be hidden, those for which something holds.
fn which(flavour: Flavour, holds: impl Fn(&str) -> bool) -> u8 {
    let those = flavour.hideable().iter().enumerate().filter(|(_, name)| holds(name));
    those.fold(0, |bits, (place, _)| bits | 1 << place)
}

/// In seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The limit of an account policy entry.
async fn read_limit(connection: &mut Connection, policy: &str) -> Result<Limit, Error> {
    let names = ["accountInactivityLimit".to_owned(), "objectClass".to_owned()];
    let asked = connection.read_entry(policy, "(objectClass=*)", &names, Step::Search).await;
    let Some(message) = answered(asked)? else { return Ok(Limit::Unreadable) };
    let limit = values(&message, "accountInactivityLimit");
    Ok(match limit.first().map(|value| std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())) {
        Some(Some(limit)) => Limit::Seconds(limit),
        Some(None) => Limit::Unreadable,
        // An entry that shows its classes and no limit has none.
        None if values(&message, "objectClass").is_empty() => Limit::Unreadable,
        None => Limit::Never,
    })
}

/// Whether the server finds this very entry by a filter.
async fn is_found(connection: &mut Connection, dn: &str, filter: &str) -> Result<bool, Error> {
    let asked = connection.read_entry(dn, filter, &["1.1".to_owned()], Step::Search).await;
    Ok(answered(asked)?.is_some())
}

fn values(message: &Bytes, name: &str) -> Vec<Bytes> {
    RawEntry::parse(message).ok().and_then(|entry| entry.values_of(name).ok()).unwrap_or_default()
}

/// A refusal is an answer: it shows nothing.
fn answered(asked: Result<Option<Bytes>, Error>) -> Result<Option<Bytes>, Error> {
    match asked {
        Err(Error::Refused { .. }) => Ok(None),
        other => other,
    }
}

/// The DN of the entry above, as the server writes it.
fn container(dn: &str) -> &str {
    let mut escaped = false;
    for (place, byte) in dn.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => return dn.get(place + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_what_follows_the_first_comma_that_is_no_value() {
        assert_eq!(container("uid=a,ou=people,dc=x"), "ou=people,dc=x");
        assert_eq!(container(r"cn=Lion\, Ada,ou=people,dc=x"), "ou=people,dc=x");
        assert_eq!(container("dc=x"), "");
    }
}

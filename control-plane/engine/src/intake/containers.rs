//! Containers with missing accounts. A container that loses all accounts at once has more often become unreadable than
//! really emptied.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use postern_dn::Dn;
use postern_store::{AccountId, AccountKind, Directory, NamedAccount, Store};

use super::missing::Missing;

/// Smaller containers are emptied every day.
const FEWEST: u64 = 3;
/// Accounts read at a time.
const PAGE: u32 = 5_000;
/// Most containers shown.
const SHOWN: usize = 20;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// A container with missing accounts in it or below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    /// Its DN.
    pub(super) dn: String,
    /// Accounts that are missing.
    pub(super) missing: u64,
    /// Accounts that were known and not missing before.
    pub(super) known: u64,
}

#[derive(Debug)]
struct Tally {
    dn: Dn,
    missing: u64,
    others: u64,
    /// Whether missing accounts are direct children.
    direct: bool,
}

impl Tally {
    fn container(&self) -> Container {
        Container { dn: self.dn.to_string(), missing: self.missing, known: self.missing + self.others }
    }

    fn is_emptied(&self) -> bool {
        self.missing >= FEWEST && self.others == 0
    }
}

/// The containers of missing accounts.
#[derive(Debug, Default)]
pub(super) struct Containers {
    tallies: HashMap<String, Tally, RandomState>,
}

impl Containers {
    /// Reads which other accounts are in the containers of the missing. `whole`: counts to the end, for display;
    /// otherwise only until the emptied containers are certain, which usually takes one page.
    pub(super) async fn of(store: &Store, directory: &Directory, missing: &Missing, whole: bool) -> Result<Self> {
        let mut containers = Self::default();
        if missing.accounts.is_empty() || !whole && (missing.accounts.len() as u64) < FEWEST {
            return Ok(containers);
        }
        for batch in missing.accounts.chunks(PAGE as usize) {
            for NamedAccount { dn, .. } in store.named_accounts(directory.organization, batch).await? {
                containers.add_missing(&dn);
            }
        }
        let gone: HashSet<AccountId> = missing.accounts.iter().copied().collect();
        for kind in [AccountKind::User, AccountKind::Group] {
            let mut after = None;
            while whole || containers.tallies.values().any(Tally::is_emptied) {
                let page = store.present_dns(directory.organization, directory.id, kind, after.as_ref(), PAGE).await?;
                let Some((_, last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (_, _, dn) in page.iter().filter(|(id, _, _)| !gone.contains(id)) {
                    containers.add_other(dn);
                }
            }
        }
        Ok(containers)
    }

    fn add_missing(&mut self, dn: &str) {
        for (level, container) in ancestors(dn).enumerate() {
            let tally = self.tallies.entry(container.normalized()).or_insert_with(|| Tally {
                dn: container,
                missing: 0,
                others: 0,
                direct: false,
            });
            tally.missing += 1;
            tally.direct |= level == 0;
        }
    }

    fn add_other(&mut self, dn: &str) {
        for container in ancestors(dn) {
            if let Some(tally) = self.tallies.get_mut(&container.normalized()) {
                tally.others += 1;
            }
        }
    }

    /// The emptied containers, by DN, without those inside another one.
    pub(super) fn emptied(&self) -> Vec<Container> {
        let within = |tally: &Tally| {
            let above = tally.dn.parent().and_then(|parent| self.tallies.get(&parent.normalized()));
            above.is_some_and(Tally::is_emptied)
        };
        let emptied = self.tallies.values().filter(|tally| tally.is_emptied() && !within(tally));
        let mut emptied: Vec<Container> = emptied.map(Tally::container).collect();
        emptied.sort_by(|one, other| one.dn.cmp(&other.dn));
        emptied
    }

    /// The parent containers of missing accounts, those with most of them first, and how many more there are.
    pub(super) fn most(&self) -> (Vec<Container>, u64) {
        let mut found: Vec<Container> =
            self.tallies.values().filter(|tally| tally.direct).map(Tally::container).collect();
        found.sort_by(|one, other| other.missing.cmp(&one.missing).then_with(|| one.dn.cmp(&other.dn)));
        let more = found.len().saturating_sub(SHOWN) as u64;
        found.truncate(SHOWN);
        (found, more)
    }
}

/// Deeper entries count only in their nearest containers: an agent could invent names with thousands of levels.
const MOST_LEVELS: usize = 32;

/// The containers above an entry, nearest first, without the root.
fn ancestors(dn: &str) -> impl Iterator<Item = Dn> {
    let parent = Dn::parse(dn).ok().and_then(|dn| dn.parent());
    std::iter::successors(parent, Dn::parent).take_while(|dn| !dn.is_root()).take(MOST_LEVELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(missing: &[&str], others: &[&str]) -> Containers {
        let mut containers = Containers::default();
        for dn in missing {
            containers.add_missing(dn);
        }
        for dn in others {
            containers.add_other(dn);
        }
        containers
    }

    fn emptied(missing: &[&str], others: &[&str]) -> Vec<String> {
        looked_at(missing, others).emptied().into_iter().map(|container| container.dn).collect()
    }

    #[test]
    fn a_container_is_emptied_when_nobody_is_left_in_it_or_below_it() {
        let three = ["uid=a,ou=north,dc=x", "uid=b,ou=North,dc=x", "uid=c,ou=deep,ou=north,dc=x"];
        assert_eq!(emptied(&three, &["uid=d,ou=south,dc=x"]), ["ou=north,dc=x"]);
        assert!(emptied(&three, &["uid=d,OU=north,dc=x"]).is_empty());
        assert!(emptied(&three[..2], &["uid=d,ou=south,dc=x"]).is_empty(), "too few to mean anything");
    }

    #[test]
    fn only_the_topmost_of_emptied_containers_is_named() {
        let missing = ["uid=a,ou=x,ou=y,dc=x", "uid=b,ou=x,ou=y,dc=x", "uid=c,ou=x,ou=y,dc=x"];
        assert_eq!(emptied(&missing, &["uid=d,dc=x"]), ["ou=y,dc=x"]);
    }

    #[test]
    fn the_nearest_containers_are_counted_for_people() {
        let looked_at = looked_at(&["uid=a,ou=n,dc=x", "uid=b,ou=n,dc=x", "uid=c,ou=s,dc=x"], &["uid=d,ou=n,dc=x"]);
        let (found, more) = looked_at.most();
        let found: Vec<_> =
            found.iter().map(|container| (container.dn.as_str(), container.missing, container.known)).collect();
        assert_eq!((found, more), (vec![("ou=n,dc=x", 2, 3), ("ou=s,dc=x", 1, 1)], 0));
    }

    #[test]
    fn containers_that_are_not_shown_are_counted() {
        let many: Vec<String> = (0..SHOWN + 3).map(|number| format!("uid=a,ou={number},dc=x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (found, more) = looked_at(&many, &[]).most();
        assert_eq!((found.len(), more), (SHOWN, 3));
    }
}

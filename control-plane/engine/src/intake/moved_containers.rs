//! Containers that were renamed or moved between two imports. Their entries come under other DNs, and the old container
//! is not found, as if it were hidden. Whether somebody is gone is then a question for the new container.
//!
//! Entries that moved are kept aside until the import is proven ([`super::sensitive::MOVED`]), so during the second look
//! their accounts still have the old DNs.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use postern_dn::{Dn, Rdn};
use postern_proto::chunk::ChunkReader;
use postern_store::{AccountId, AccountKind, Directory, ExternalKey, JobId, SoughtAccount, Store};

use super::keys::{recorded_key, stored};
use super::known;
use super::notes::{Notes, Renaming};
use super::sensitive::MOVED;
use crate::identity::mapping;
use crate::jobs::running::Running;

/// Accounts read at a time.
const PAGE: u32 = 5_000;
/// External ids looked up at a time.
const KEYS: usize = 500;
/// One person who moved is no proof: the container may be hidden, and the person may have left it.
const FEWEST: u64 = 2;
/// Deeper entries count only in their nearest containers.
const MOST_LEVELS: usize = 32;
/// Most containers that are compared: an agent could invent any number.
const MOST_CONTAINERS: usize = 10_000;
/// Most that are listed.
const LISTED: usize = 20;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The containers of accounts that are not found, with what became of their other entries.
#[derive(Debug, Default)]
pub struct MovedContainers {
    /// By normalized DN.
    containers: HashMap<String, Evidence, RandomState>,
    /// The accounts whose entries moved.
    moved: HashSet<AccountId, RandomState>,
    /// The containers under which entries came, by normalized DN, and whether they had entries before.
    targets: HashMap<String, bool, RandomState>,
}

#[derive(Debug)]
struct Evidence {
    dn: Dn,
    /// The container under which its entries came.
    to: Option<Dn>,
    moved: u64,
    /// Its entries came under several others, or some are still in it.
    contradicted: bool,
}

impl MovedContainers {
    /// Judges the containers of these accounts, which did not come and whose containers are not found. The import notes
    /// which containers seem to be renamed. `store` has the entries of the import.
    pub async fn find(
        running: &Running,
        store: &Store,
        directory: &Directory,
        (job, attempt): (JobId, u32),
        accounts: &[SoughtAccount],
    ) -> Result<Self> {
        let since = running.table.change(job, attempt, |entry| entry.job.created_at);
        let since = since.unwrap_or_else(|| running.clock.now());
        let found = Self::read_all(store, directory, (job, attempt), since, accounts).await?;
        Notes::seem_renamed(running, job, attempt, found.renamings());
        Ok(found)
    }

    /// `since` is when the import began.
    async fn read_all(
        store: &Store,
        directory: &Directory,
        (job, attempt): (JobId, u32),
        since: Timestamp,
        accounts: &[SoughtAccount],
    ) -> Result<Self> {
        let mut found = Self::of(accounts);
        for part in store.deferred(directory.organization, job, attempt).await? {
            if part.kinds & MOVED == 0 {
                continue;
            }
            let payload = store.deferred_payload(directory.organization, job, attempt, &part).await?;
            found.read(store, directory, &Bytes::from(payload.unwrap_or_default())).await?;
        }
        if found.all_read() {
            return Ok(found);
        }
        let absent: HashSet<AccountId> = accounts.iter().map(|account| account.id).collect();
        for kind in [AccountKind::User, AccountKind::Group] {
            let mut after = None;
            loop {
                let page = store.present_dns(directory.organization, directory.id, kind, after.as_ref(), PAGE).await?;
                let Some((_, last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (account, _, dn) in page.iter().filter(|(account, ..)| !absent.contains(account)) {
                    found.compare(*account, dn, since);
                }
            }
        }
        Ok(found)
    }

    fn of(accounts: &[SoughtAccount]) -> Self {
        let mut found = Self::default();
        for container in accounts.iter().flat_map(|account| ancestors(&account.dn)) {
            if found.containers.len() >= MOST_CONTAINERS {
                break;
            }
            let evidence = Evidence { dn: container, to: None, moved: 0, contradicted: false };
            found.containers.entry(evidence.dn.normalized()).or_insert(evidence);
        }
        found
    }

    /// Reads entries that came under other DNs than before.
    async fn read(&mut self, store: &Store, directory: &Directory, payload: &Bytes) -> Result<()> {
        if payload.is_empty() {
            return Ok(());
        }
        let mut reader = ChunkReader::parse(payload).map_err(corrupt)?;
        let mut came: Vec<(AccountKind, ExternalKey, String)> = Vec::new();
        loop {
            let entry = reader.next_entry().map_err(corrupt)?;
            let ended = entry.is_none();
            came.extend(entry.map(|entry| {
                let key = ExternalKey::from_text(entry.external_id);
                (stored(entry.kind), key, mapping::printable(entry.dn).into_owned())
            }));
            if came.len() < KEYS && !ended {
                continue;
            }
            let ids: Vec<_> = came.iter().map(|(kind, key, _)| (*kind, key.clone())).collect();
            let known = known::by_id(store, directory, &ids).await?;
            for (kind, key, dn) in came.drain(..) {
                if let Some(known) = known.get(&recorded_key(kind, &key)) {
                    self.add_moved(known.account, &known.dn, &dn);
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn add_moved(&mut self, account: AccountId, from: &str, to: &str) {
        let (Ok(from_dn), Ok(to)) = (Dn::parse(from), Dn::parse(to)) else { return };
        if from_dn == to {
            return;
        }
        for (level, container) in ancestors(from).enumerate() {
            let Some(evidence) = self.containers.get_mut(&container.normalized()) else { continue };
            self.moved.insert(account);
            evidence.moved += 1;
            let (within, under) = (from_dn.rdns().get(..=level), to.rdns().get(..=level));
            let other = to.above(level + 1);
            let kept = within.zip(under).is_some_and(|(one, other)| same(one, other));
            match (&evidence.to, other) {
                (None, Some(other)) if kept && other != container => evidence.to = Some(other),
                (Some(known), Some(other)) if kept && *known == other => {}
                _ => evidence.contradicted = true,
            }
        }
    }

    /// Call it when all that moved is added. Returns whether no container seems to be renamed.
    fn all_read(&mut self) -> bool {
        self.containers.retain(|_, evidence| evidence.moved > 0);
        let targets = self.containers.values().filter_map(|evidence| evidence.to.as_ref());
        self.targets = targets.map(|to| (to.normalized(), false)).collect();
        self.targets.is_empty()
    }

    /// Compares with an account that is present and came, under its known DN.
    fn compare(&mut self, account: AccountId, dn: &str, since: Timestamp) {
        if self.moved.contains(&account) {
            return;
        }
        for container in ancestors(dn).map(|container| container.normalized()) {
            if let Some(evidence) = self.containers.get_mut(&container) {
                evidence.contradicted = true;
            }
            if let Some(existed) = self.targets.get_mut(&container).filter(|_| !is_new(account, since)) {
                *existed = true;
            }
        }
    }

    /// The DN that an account would have now. `None`: it is not certain that its container was renamed.
    pub fn new_dn(&self, dn: &str) -> Option<String> {
        let parsed = Dn::parse(dn).ok()?;
        for (level, container) in ancestors(dn).enumerate() {
            // The nearest container with evidence decides.
            let Some(evidence) = self.containers.get(&container.normalized()) else { continue };
            let to = evidence.to.as_ref().filter(|_| !evidence.contradicted && evidence.moved >= FEWEST)?;
            if self.targets.get(&to.normalized()).is_none_or(|existed| *existed) {
                return None;
            }
            return Some(parsed.moved_below(level + 1, to).to_string());
        }
        None
    }

    /// The containers that seem to be renamed, certainly or not; those above others first.
    pub fn renamings(&self) -> Vec<Renaming> {
        let mut seem: Vec<&Evidence> = self.containers.values().filter(|evidence| !evidence.contradicted).collect();
        seem.sort_by_key(|evidence| (evidence.dn.rdns().len(), evidence.dn.normalized()));
        let shown = seem.into_iter().filter_map(|evidence| {
            Some(Renaming { from: evidence.dn.to_string(), to: evidence.to.as_ref()?.to_string() })
        });
        shown.take(LISTED).collect()
    }
}

/// The DN that a container seems to have now. `None`: it does not seem to be renamed.
pub(super) fn now(renamings: &[Renaming], container: &Dn) -> Option<String> {
    let renamed = |renaming: &Renaming| {
        let (from, to) = (Dn::parse(&renaming.from).ok()?, Dn::parse(&renaming.to).ok()?);
        let deeper = container.rdns().len().checked_sub(from.rdns().len())?;
        container.is_within(&from).then(|| container.moved_below(deeper, &to).to_string())
    };
    renamings.iter().find_map(renamed)
}

fn same(one: &[Rdn], other: &[Rdn]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
}

/// Whether an account was created by this import. Its id says when it was made.
fn is_new(account: AccountId, since: Timestamp) -> bool {
    let Some(made) = account.as_uuid().get_timestamp() else { return false };
    let (seconds, nanoseconds) = made.to_unix();
    let milliseconds = u128::from(seconds) * 1_000 + u128::from(nanoseconds / 1_000_000);
    u128::try_from(since.as_millisecond()).is_ok_and(|since| milliseconds > since)
}

/// The containers above an entry, nearest first, without the root.
fn ancestors(dn: &str) -> impl Iterator<Item = Dn> {
    let parent = Dn::parse(dn).ok().and_then(|dn| dn.parent());
    std::iter::successors(parent, Dn::parent).take_while(|dn| !dn.is_root()).take(MOST_LEVELS)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> postern_store::Error {
    postern_store::Error::Corrupt { what: "an entry kept aside".to_owned(), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "OU=Berlin,DC=x";

    fn sought(dn: &str) -> SoughtAccount {
        let external_key = ExternalKey::from_text(dn);
        SoughtAccount { id: AccountId::new(), kind: AccountKind::User, external_key, dn: dn.to_owned() }
    }

    /// Where `gone` would be now, if these entries moved and those stayed.
    fn judged(gone: &str, moved: &[(&str, &str)], stayed: &[&str]) -> (Option<String>, Vec<Renaming>) {
        let mut found = MovedContainers::of(&[sought(gone)]);
        for (from, to) in moved {
            found.add_moved(AccountId::new(), from, to);
        }
        found.all_read();
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        for dn in stayed {
            found.compare(AccountId::new(), dn, later);
        }
        (found.new_dn(gone), found.renamings())
    }

    #[test]
    fn a_container_whose_entries_all_came_under_one_other_was_renamed() {
        let moved =
            [("cn=b,ou=berlin,dc=x", "CN=B,OU=Mitte,DC=x"), ("cn=c,ou=s,ou=berlin,dc=x", "cn=c,ou=s,ou=mitte,dc=x")];
        let (now, seem) = judged("CN=a,OU=Berlin,DC=x", &moved, &["cn=z,dc=x", "cn=z,ou=other,dc=x"]);
        assert_eq!(now.as_deref(), Some("CN=a,OU=Mitte,DC=x"));
        assert_eq!(seem, [Renaming { from: BERLIN.to_owned(), to: "OU=Mitte,DC=x".to_owned() }]);
        // An entry of a container in it.
        let (now, _) = judged("cn=a,ou=deep,ou=berlin,dc=x", &moved, &[]);
        assert_eq!(now.as_deref(), Some("cn=a,ou=deep,OU=Mitte,DC=x"));
        // It was moved below another container.
        let moved = [
            ("cn=b,ou=berlin,dc=x", "cn=b,ou=berlin,ou=de,dc=x"),
            ("cn=c,ou=berlin,dc=x", "cn=c,ou=berlin,ou=de,dc=x"),
        ];
        let (now, _) = judged("cn=a,ou=berlin,dc=x", &moved, &[]);
        assert_eq!(now.as_deref(), Some("cn=a,ou=berlin,ou=de,dc=x"));
    }

    #[test]
    fn what_is_no_proof_is_shown_at_most() {
        let gone = "cn=a,ou=berlin,dc=x";
        let to_mitte = [("cn=b,ou=berlin,dc=x", "cn=b,ou=mitte,dc=x"), ("cn=c,ou=berlin,dc=x", "cn=c,ou=mitte,dc=x")];
        // One person alone; or the other container had people before.
        assert_eq!((judged(gone, &to_mitte[..1], &[]).0, judged(gone, &to_mitte[..1], &[]).1.len()), (None, 1));
        assert_eq!(judged(gone, &to_mitte, &["cn=z,ou=mitte,dc=x"]).0, None);
        // Some are still in it, some went elsewhere, or some were renamed themselves.
        for (moved, stayed) in [
            (to_mitte.to_vec(), vec!["cn=d,ou=berlin,dc=x"]),
            ([&to_mitte[..], &[("cn=d,ou=berlin,dc=x", "cn=d,ou=hamburg,dc=x")]].concat(), vec![]),
            ([&to_mitte[..], &[("cn=d,ou=berlin,dc=x", "cn=e,ou=mitte,dc=x")]].concat(), vec![]),
        ] {
            assert_eq!(judged(gone, &moved, &stayed), (None, Vec::new()), "{moved:?} {stayed:?}");
        }
        assert_eq!(judged(gone, &[], &[]), (None, Vec::new()));
    }

    #[test]
    fn people_who_are_new_in_a_renamed_container_do_not_make_it_an_old_one() {
        let now = Timestamp::now();
        assert!(is_new(AccountId::new(), now - jiff::SignedDuration::from_millis(5)));
        assert!(!is_new(AccountId::new(), now + jiff::SignedDuration::from_secs(5)));
    }
}

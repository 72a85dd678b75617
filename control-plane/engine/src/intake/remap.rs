//! Maps the accounts of a directory anew when its rules have changed, from what is stored of them. Only what rules and the
//! default mapping fill is written: names of users, links, switches and members stay as the imports have left them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{
    AccountKind, Directory, ExternalKey, GroupId, GroupRow, MappingRun, MappingStep, Profile, Restamp, RuleFailures,
    StaleAccount, Store, UserId, UserRow,
};

use super::decide::{self, VERSION_AT, version_bytes};
use super::joined_profiles::JoinedProfiles;
use super::last_good;
use super::pace::Pace;
use super::place::Place;
use super::reading::{Skips, rules_of};
use crate::identity::mapping::rules::{Failed, Rules};
use crate::identity::stored::{Mappings, StoredAccount};

/// Accounts in one transaction.
const BATCH: u32 = 2_000;
/// The steps that rules take for the accounts of one transaction: about a second. After each it is asked whether newer
/// rules were saved meanwhile.
const BATCH_STEPS: u64 = 5_000_000;
/// How long a claim lasts without a sign of life.
const CLAIM: Duration = Duration::from_mins(2);
/// Before looking again while an import is under way that began with older rules.
const AGAIN: Duration = Duration::from_secs(15);
/// How often in a row an import may change accounts while they are mapped, before the run is left for later.
const TRIES: u32 = 50;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Maps all accounts of one directory anew, if there is one with other rules than before. `false`: there is none.
pub async fn run(store: &Store, clock: &SharedClock) -> Result<bool> {
    let later = |by: Duration| clock.now().checked_add(by).unwrap_or_else(|_| clock.now());
    let Some(mut run) = store.claim_mapping(later(CLAIM), clock.now()).await? else { return Ok(false) };
    let Some(directory) = store.get_directory(run.organization, run.directory).await? else { return Ok(true) };
    let Some(rules) = rules_of(store, &directory).await?.filter(|rules| rules.version() == run.version) else {
        // A newer version was saved meanwhile: it has a run of its own.
        return Ok(true);
    };
    let place = Place::of(&directory);
    let skips = Skips::of_directory(store, &directory).await?;
    let anew = Anew { store, place, rules, skips };
    anew.all(&directory, &mut run, clock, later).await
}

struct Anew<'a> {
    store: &'a Store,
    place: Place,
    rules: Arc<Rules>,
    /// What imports of the directory leave alone.
    skips: Skips,
}

/// What becomes of a batch.
#[derive(Default)]
struct Batch {
    users: Vec<UserRow>,
    groups: Vec<GroupRow>,
    restamps: Vec<Restamp>,
    /// The restamps of the users' accounts.
    accounts: HashMap<UserId, usize>,
    failures: u64,
    /// The first of these failures, each with the DN of its account.
    samples: Vec<(String, Failed)>,
    /// The last account, if there are more that were not mapped.
    stopped_at: Option<ExternalKey>,
}

impl Batch {
    fn failed(&mut self, dn: &str, failed: &[Failed]) {
        self.failures += failed.len() as u64;
        let room = last_good::SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(failed.iter().take(room).map(|failed| (dn.to_owned(), failed.clone())));
    }

    /// What it does, for the record of the run.
    fn step(&self) -> MappingStep {
        let samples = last_good::samples(self.samples.iter().map(|(dn, failed)| (dn.as_str(), failed)));
        let failures = RuleFailures { count: self.failures, samples };
        MappingStep { changed: (self.users.len() + self.groups.len()) as u64, failures }
    }
}

impl Anew<'_> {
    async fn all(
        &self,
        directory: &Directory,
        run: &mut MappingRun,
        clock: &SharedClock,
        later: impl Fn(Duration) -> Timestamp,
    ) -> Result<bool> {
        let version = version_bytes(run.version);
        let (mut accounts, mut tries, mut limit) = (0, 0, BATCH);
        let mut mappings = Mappings::new(self.place.flavour, Some(&self.rules));
        loop {
            let stale = self.store.stale_accounts(run, version, limit).await?;
            let Some(last) = stale.last() else {
                if run.kind == AccountKind::User {
                    (run.kind, run.after) = (AccountKind::Group, Vec::new());
                    continue;
                }
                break;
            };
            let last = last.account.external_key.clone();
            let batch = self.batch(stale, &mut mappings, clock.now()).await?;
            let count = batch.restamps.len();
            let mut step = batch.step();
            let key = batch.stopped_at.clone().unwrap_or(last);
            let Some(refused) = self.write(batch, clock.now()).await? else {
                // An import has changed one of them. Fewer are less likely to be changed; those are read again.
                (tries, limit) = (tries + 1, (limit / 4).max(1));
                if tries < TRIES {
                    continue;
                }
                return Ok(true);
            };
            (tries, limit) = (0, BATCH);
            accounts += count;
            run.pass(&key);
            step.failures.count += refused;
            if !self.store.advance_mapping(run, &step, later(CLAIM)).await? {
                return Ok(true);
            }
        }
        let done = self.store.finish_mapping(run, later(AGAIN), clock.now()).await?;
        tracing::info!(directory = %directory.id, version = run.version, accounts, done, "mapping.mapped_anew");
        Ok(true)
    }

    /// What changes for these accounts, or for the first of them if the rules take many steps.
    async fn batch(&self, stale: Vec<StaleAccount>, mappings: &mut Mappings<'_>, now: Timestamp) -> Result<Batch> {
        let of = |kind: AccountKind| {
            let of_kind = stale.iter().filter(move |stale| stale.account.kind == kind);
            of_kind.filter_map(|stale| stale.account.identity).collect::<Vec<_>>()
        };
        let (users, groups) = (of(AccountKind::User), of(AccountKind::Group));
        let known = last_good::profiles(self.store, self.place.organization, users, groups).await?;
        let (mut batch, mut pace, mut steps) = (Batch::default(), Pace::default(), 0);
        for StaleAccount { account, hash } in stale {
            let mut after = hash;
            if let Some(version) = after.get_mut(VERSION_AT..VERSION_AT + 3) {
                version.copy_from_slice(&version_bytes(self.rules.version()));
            }
            batch.restamps.push(Restamp { account: account.id, before: hash, after });
            if self.skips.account(&account) {
                continue;
            }
            let Some((id, profile)) = account.identity.and_then(|id| Some((id, known.get(&id)?))) else { continue };
            let Some(view) = StoredAccount::of(&account) else { continue };
            let mapping = mappings.of(&view);
            if account.kind == AccountKind::User {
                let (wanted, failed) = decide::user(self.place, mapping, &view, now);
                batch.failed(&account.dn, &failed);
                let mut wanted = UserRow { id: UserId::from_uuid(id), ..wanted };
                last_good::restore(&mut wanted, &failed, profile);
                batch.accounts.insert(wanted.id, batch.restamps.len() - 1);
                batch.users.extend(differs(&wanted, profile).then_some(wanted));
            } else {
                let (wanted, failed) = decide::group(self.place, GroupId::from_uuid(id), mapping, &view, now);
                batch.failed(&account.dn, &failed);
                batch.groups.extend(group(wanted, &failed, profile));
            }
            let taken = mapping.take_steps();
            steps += taken;
            pace.after(taken).await;
            if steps >= BATCH_STEPS {
                batch.stopped_at = Some(account.external_key);
                break;
            }
        }
        Ok(batch)
    }

    /// Writes a batch. Returns how many unique values other users have. `None`: an import has changed some of the accounts
    /// meanwhile, and nothing is written.
    async fn write(&self, batch: Batch, now: Timestamp) -> Result<Option<u64>> {
        let Batch { users, groups, mut restamps, accounts, .. } = batch;
        let mut tx = self.store.begin_intake(self.place.organization, self.place.directory, now).await?;
        let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
        let held = tx.held_users(&ids).await?;
        // Their values come from several directories.
        let joined: Vec<UserId> = held.into_iter().filter(|held| held.elsewhere).map(|held| held.user).collect();
        let (others, users): (Vec<UserRow>, Vec<UserRow>) =
            users.into_iter().partition(|user| joined.contains(&user.id));
        // In the order in which imports write, so that neither waits for the other for ever.
        tx.identities().update_profiles(users).await?;
        tx.identities().update_groups(groups).await?;
        let others: Vec<UserId> = others.into_iter().map(|user| user.id).collect();
        tx.identities().lower_users(&others).await?;
        JoinedProfiles::new(self.store, self.place.organization).write(tx.identities(), &others, now).await?;
        let refused = tx.identities().take_refused();
        for account in refused.iter().filter_map(|refused| accounts.get(&refused.user)) {
            // The next import tries again.
            if let Some(restamp) = restamps.get_mut(*account) {
                restamp.after = [0; 16];
            }
        }
        if tx.restamp(&restamps).await? < restamps.len() as u64 {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(refused.len() as u64))
    }
}

fn differs(wanted: &UserRow, profile: &Profile) -> bool {
    wanted.given_name != profile.given_name
        || wanted.family_name != profile.family_name
        || wanted.display_name != profile.display_name
        || wanted.email != profile.email
        || wanted.attributes != profile.attributes
}

/// The group, if it changes, with the last good value of what failed.
fn group(mut wanted: GroupRow, failed: &[Failed], profile: &Profile) -> Option<GroupRow> {
    last_good::restore_group(&mut wanted, failed, profile);
    let same = Some(&wanted.display_name) == profile.display_name.as_ref() && wanted.description == profile.description;
    (!same).then_some(wanted)
}

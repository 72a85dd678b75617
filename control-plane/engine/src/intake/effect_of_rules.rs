//! What rules would change before they are saved: the stored accounts are mapped by them, and nothing is written.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{AccountKind, Directory, GroupId, MappingRun, Profile, StaleAccount, Store, UserId, UserRow};
use uuid::Uuid;

use super::effect::{Counting, Effect, MOST};
use super::joined_profiles::JoinedProfiles;
use super::pace::Pace;
use super::place::Place;
use super::reading::Skips;
use super::{decide, last_good};
use crate::identity::mapping::rules::{RuleOf, Rules};
use crate::identity::stored::{Mappings, StoredAccount};
use crate::identity::values::FLAG_SOURCES;

/// Accounts that are read together.
const PAGE: u32 = 1_000;
/// The most steps that rules take for it: some seconds.
const MOST_STEPS: u64 = 30_000_000;
/// No version of rules has this number, so all accounts count as mapped by another one.
const NO_VERSION: [u8; 3] = [u8::MAX; 3];

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Maps the stored accounts of a directory by these rules, and counts what would change.
pub async fn of(store: &Store, directory: &Directory, rules: &Arc<Rules>, now: Timestamp) -> Result<Effect> {
    let place = Place::of(directory);
    let mut run = MappingRun {
        organization: place.organization,
        directory: place.directory,
        version: 0,
        kind: AccountKind::User,
        after: Vec::new(),
        claimed_until: now,
    };
    let joined = JoinedProfiles::new(store, place.organization).with_rules(place, Some(Arc::clone(rules)));
    let skips = Skips::of_directory(store, directory).await?;
    let counting = Counting::default();
    let mut look = Look { store, place, now, joined, skips, counting, seen: BTreeSet::new(), steps: 0 };
    let mut mappings = Mappings::new(place.flavour, Some(rules));
    let mut mapped = 0;
    while mapped < MOST && look.steps < MOST_STEPS {
        let page = store.stale_accounts(&run, NO_VERSION, PAGE).await?;
        if let Some(last) = page.last() {
            run.pass(&last.account.external_key);
            mapped += page.len() as u64;
            look.at(&page, &mut mappings).await?;
        } else if run.kind == AccountKind::User {
            (run.kind, run.after) = (AccountKind::Group, Vec::new());
        } else {
            look.counting.effect.complete = true;
            break;
        }
    }
    if look.counting.effect.users > 0 {
        let is_unknown = |name: &&str| !FLAG_SOURCES.contains(name) && !look.seen.contains(*name);
        let unknown: BTreeSet<&str> = rules.reads(RuleOf::Users).filter(is_unknown).collect();
        look.counting.effect.unknown_attributes = unknown.into_iter().map(str::to_owned).collect();
    }
    Ok(look.counting.judged(&directory.thresholds))
}

struct Look<'s> {
    store: &'s Store,
    place: Place,
    now: Timestamp,
    joined: JoinedProfiles<'s>,
    /// What imports of the directory leave alone.
    skips: Skips,
    counting: Counting,
    /// The attributes that accounts of users have.
    seen: BTreeSet<String>,
    /// How many the rules have taken.
    steps: u64,
}

impl Look<'_> {
    /// Looks at some accounts of one kind.
    async fn at(&mut self, accounts: &[StaleAccount], mappings: &mut Mappings<'_>) -> Result<()> {
        let ids = |of: AccountKind| {
            let of_kind = accounts.iter().filter(move |stale| stale.account.kind == of);
            of_kind.filter_map(|stale| stale.account.identity).collect()
        };
        let (users, groups) = (ids(AccountKind::User), ids(AccountKind::Group));
        let known = last_good::profiles(self.store, self.place.organization, users, groups).await?;
        let (mut pace, mut losers) = (Pace::default(), Vec::new());
        for StaleAccount { account, .. } in accounts {
            if self.skips.account(account) {
                continue;
            }
            let Some(view) = StoredAccount::of(account) else { continue };
            if account.kind == AccountKind::User {
                self.counting.effect.users += 1;
                view.put_standard_names(&mut self.seen);
            } else {
                self.counting.effect.groups += 1;
            }
            let Some((id, profile)) = account.identity.and_then(|id| Some((id, known.get(&id)?))) else { continue };
            let mapping = mappings.of(&view);
            if account.kind == AccountKind::User {
                let (wanted, failed) = decide::user(self.place, mapping, &view, self.now);
                let mut wanted = UserRow { id: UserId::from_uuid(id), ..wanted };
                last_good::restore(&mut wanted, &failed, profile);
                self.counting.effect.failing += failed.len() as u64;
                if Counting::loses(profile, &wanted) {
                    losers.push(wanted);
                } else {
                    self.counting.user(profile, &wanted);
                }
            } else {
                let (mut wanted, failed) = decide::group(self.place, GroupId::from_uuid(id), mapping, &view, self.now);
                last_good::restore_group(&mut wanted, &failed, profile);
                self.counting.effect.failing += failed.len() as u64;
                self.counting.group(profile, &wanted);
            }
            let taken = mapping.take_steps();
            self.steps += taken;
            pace.after(taken).await;
            if self.steps >= MOST_STEPS {
                break;
            }
        }
        self.losers(losers, &known).await
    }

    /// Users to whom these rules alone would give less. Another directory, or the organization itself, may fill it.
    async fn losers(&mut self, losers: Vec<UserRow>, known: &HashMap<Uuid, Profile>) -> Result<()> {
        if losers.is_empty() {
            return Ok(());
        }
        let ids: Vec<UserId> = losers.iter().map(|user| user.id).collect();
        let mut tx = self.store.begin_intake(self.place.organization, self.place.directory, self.now).await?;
        let held = tx.held_users(&ids).await?;
        let elsewhere: Vec<UserId> = held.into_iter().filter(|held| held.elsewhere).map(|held| held.user).collect();
        let mut wanted = losers;
        wanted.retain(|user| !elsewhere.contains(&user.id));
        tx.identities().add_own_values(&mut wanted).await?;
        let joined = self.joined.wanted(tx.identities(), &elsewhere, self.now).await?;
        tx.rollback().await?;
        for wanted in wanted.iter().chain(joined.iter().map(|joined| &joined.row)) {
            if let Some(profile) = known.get(&wanted.id.as_uuid()) {
                self.counting.user(profile, wanted);
            }
        }
        Ok(())
    }
}

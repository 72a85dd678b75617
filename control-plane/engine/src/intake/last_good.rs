//! Rules that failed on entries: what they fill keeps the last good value, and the import counts and samples them.

use std::collections::{BTreeMap, HashMap};

use postern_store::{AccountKind, GroupRow, OrganizationId, Profile, RuleFailures, Store, UserId, UserRow};
use serde_json::Value;
use uuid::Uuid;

use super::decided::{Row, Wanted};
use super::result::RuleFailureSample;
use crate::identity::mapping::rules::{Failed, Target};
use crate::identity::matching::Claim;

/// Failures of a chunk that are kept with their entries.
pub(super) const SAMPLES: usize = 20;
/// The most characters of a DN in a sample.
const MAX_DN: usize = 200;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Gives users and groups of these rows the last good values of what failed, and says what failed. No failure, no query.
pub(super) async fn keep(store: &Store, organization: OrganizationId, rows: &mut [Row]) -> Result<RuleFailures> {
    let failed = || rows.iter().filter(|row| !row.failed.is_empty());
    if failed().next().is_none() {
        return Ok(RuleFailures::default());
    }
    let all = || failed().flat_map(|row| row.failed.iter().map(|failed| (row.account.dn.as_str(), failed)));
    let failures = failures(all().count(), all());
    let of = |kind: AccountKind| {
        let rows = failed().filter(move |row| row.account.kind == kind);
        rows.filter_map(|row| row.account.identity).collect::<Vec<Uuid>>()
    };
    let known = profiles(store, organization, of(AccountKind::User), of(AccountKind::Group)).await?;
    for row in rows.iter_mut().filter(|row| !row.failed.is_empty()) {
        let Some(profile) = row.account.identity.and_then(|identity| known.get(&identity)) else { continue };
        match &mut row.identity {
            Wanted::User(user, _) => restore(user, &row.failed, profile),
            Wanted::Group(group, _) => restore_group(group, &row.failed, profile),
        }
    }
    Ok(failures)
}

/// Gives the users of these claims the last good values of what failed. No failure, no query.
pub(super) async fn keep_of_claims<'c>(
    store: &Store,
    organization: OrganizationId,
    claims: impl Iterator<Item = (UserId, &'c mut Claim)>,
) -> Result<()> {
    let failed: Vec<(UserId, &mut Claim)> = claims.filter(|(_, claim)| !claim.failed.is_empty()).collect();
    let users = failed.iter().map(|(user, _)| user.as_uuid()).collect();
    let known = profiles(store, organization, users, Vec::new()).await?;
    for (user, claim) in failed {
        let Some(profile) = known.get(&user.as_uuid()) else { continue };
        restore(&mut claim.wanted, &claim.failed, profile);
    }
    Ok(())
}

/// The profiles of users and groups by their ids.
pub(super) async fn profiles(
    store: &Store,
    organization: OrganizationId,
    users: Vec<Uuid>,
    groups: Vec<Uuid>,
) -> Result<HashMap<Uuid, Profile>> {
    let mut known = HashMap::new();
    if !users.is_empty() {
        known.extend(store.user_profiles(organization, users).await?);
    }
    if !groups.is_empty() {
        known.extend(store.group_profiles(organization, groups).await?);
    }
    Ok(known)
}

/// Gives a user the last good values of what failed.
pub(super) fn restore(user: &mut UserRow, failed: &[Failed], good: &Profile) {
    for failed in failed {
        restore_one(user, &failed.target, good);
    }
}

/// Gives a group the last good values of what failed.
pub(super) fn restore_group(group: &mut GroupRow, failed: &[Failed], good: &Profile) {
    for failed in failed {
        match (&failed.target, &good.display_name) {
            (Target::DisplayName, Some(name)) => group.display_name.clone_from(name),
            (Target::Description, _) => group.description.clone_from(&good.description),
            _ => {}
        }
    }
}

fn restore_one(user: &mut UserRow, target: &Target, good: &Profile) {
    match target {
        Target::GivenName => user.given_name.clone_from(&good.given_name),
        Target::FamilyName => user.family_name.clone_from(&good.family_name),
        Target::DisplayName => user.display_name.clone_from(&good.display_name),
        Target::Email => user.email.clone_from(&good.email),
        Target::Description => {}
        Target::Further(name) => {
            let read = |text: &str| serde_json::from_str::<BTreeMap<String, Value>>(text).unwrap_or_default();
            let mut wanted = read(&user.attributes);
            match read(&good.attributes).remove(name) {
                Some(value) => wanted.insert(name.clone(), value),
                None => wanted.remove(name),
            };
            user.attributes = serde_json::to_string(&wanted).unwrap_or_default();
        }
    }
}

/// Failures with some samples.
pub(super) fn failures<'f>(count: usize, failed: impl Iterator<Item = (&'f str, &'f Failed)>) -> RuleFailures {
    RuleFailures { count: count as u64, samples: samples(failed) }
}

/// Some failures, each with the DN of its account, as results show them.
pub(super) fn samples<'f>(failed: impl Iterator<Item = (&'f str, &'f Failed)>) -> Value {
    let sample = |(dn, failed): (&str, &Failed)| RuleFailureSample {
        rule: failed.name.clone(),
        dn: dn.chars().take(MAX_DN).collect(),
        error: failed.what.clone(),
        value: failed.value.clone(),
    };
    serde_json::to_value(failed.take(SAMPLES).map(sample).collect::<Vec<_>>()).unwrap_or_default()
}

//! Does the control plane hold what the directory holds? Every scenario ends with this question.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};

use crate::api::{Account, Api};
use crate::ds389::Ds389;
use crate::ldif::Entry;
use crate::people::{GROUP_ATTRIBUTES, USER_ATTRIBUTES};
use crate::slapd::Slapd;

/// Accounts, users, groups and memberships against an OpenLDAP of [`crate::people`].
pub async fn openldap(api: &Api, directory: &str, slapd: &Slapd) -> Result<()> {
    everything(api, directory, "entryUUID", slapd.users().await?, slapd.groups().await?).await
}

/// The same against a 389 Directory Server of [`crate::people`].
pub async fn ds389(api: &Api, directory: &str, server: &Ds389) -> Result<()> {
    everything(api, directory, "nsUniqueId", server.users().await?, server.groups().await?).await
}

async fn everything(
    api: &Api,
    directory: &str,
    external_id: &str,
    entries: Vec<Entry>,
    groups: Vec<Entry>,
) -> Result<()> {
    let accounts = api.accounts(directory, "user").await?;
    same_accounts(&entries, &accounts, external_id, &USER_ATTRIBUTES).context("user accounts")?;
    users(api, external_id, &entries, &accounts).await.context("users")?;
    let group_accounts = api.accounts(directory, "group").await?;
    same_accounts(&groups, &group_accounts, external_id, &GROUP_ATTRIBUTES).context("group accounts")?;
    memberships(api, &groups, &accounts, &group_accounts).await.context("memberships")
}

/// Every entry is an account with the same external id, DN and attributes, none marked missing; every account that
/// is not an entry is marked missing.
pub fn same_accounts(entries: &[Entry], accounts: &[Account], external_id: &str, attributes: &[&str]) -> Result<()> {
    let by_id: BTreeMap<&str, &Account> =
        accounts.iter().map(|account| (account.external_id.as_str(), account)).collect();
    ensure!(by_id.len() == accounts.len(), "two accounts have one external id");
    let mut present = BTreeSet::new();
    for entry in entries {
        let id = entry.text(external_id);
        let Some(account) = by_id.get(id.as_str()) else { bail!("{} ({id}) is no account", entry.dn) };
        ensure!(account.missing_since.is_none(), "{} is there and marked missing", entry.dn);
        ensure!(account.dn == entry.dn, "account {} is {} in the directory", account.dn, entry.dn);
        for name in attributes {
            let held = account_values(account, name)?;
            ensure!(held == entry.values(name), "{}: {name} is {held:?}, not {:?}", entry.dn, entry.values(name));
        }
        present.insert(id);
    }
    let believed = accounts.iter().filter(|account| account.missing_since.is_none());
    let gone: Vec<&str> =
        believed.filter(|account| !present.contains(&account.external_id)).map(|account| account.dn.as_str()).collect();
    ensure!(gone.is_empty(), "gone from the directory and not marked missing: {gone:?}");
    Ok(())
}

fn account_values(account: &Account, name: &str) -> Result<Vec<Vec<u8>>> {
    let found = account.attributes.iter().find(|(held, _)| held.eq_ignore_ascii_case(name));
    found.map_or_else(|| Ok(Vec::new()), |(_, values)| values.iter().map(crate::api::AttributeValue::bytes).collect())
}

/// Every person is a user with the names that the default mapping gives.
async fn users(api: &Api, external_id: &str, entries: &[Entry], accounts: &[Account]) -> Result<()> {
    let users: BTreeMap<String, _> = api.users().await?.into_iter().map(|user| (user.id.clone(), user)).collect();
    let user_of: BTreeMap<&str, Option<&String>> =
        accounts.iter().map(|account| (account.external_id.as_str(), account.user_id.as_ref())).collect();
    for entry in entries {
        let id = user_of.get(entry.text(external_id).as_str()).copied().flatten();
        let Some(user) = id.and_then(|id| users.get(id)) else { bail!("{} is no user", entry.dn) };
        let expected = [
            ("user_name", Some(user.user_name.clone()), "uid"),
            ("given_name", user.given_name.clone(), "givenName"),
            ("family_name", user.family_name.clone(), "sn"),
            ("display_name", user.display_name.clone(), "displayName"),
            ("email", user.email.clone(), "mail"),
        ];
        for (field, value, attribute) in expected {
            let wanted = entry.text(attribute);
            ensure!(value.as_deref() == Some(wanted.as_str()), "{}: {field} is {value:?}, not {wanted}", entry.dn);
        }
        ensure!(user.active, "{} is not active", entry.dn);
    }
    Ok(())
}

/// Every group has the members of its entry, users as users and groups as groups.
async fn memberships(api: &Api, groups: &[Entry], users: &[Account], group_accounts: &[Account]) -> Result<()> {
    let group_ids = identities(group_accounts, |account| account.group_id.clone());
    let mut all = identities(users, |account| account.user_id.clone());
    all.extend(group_ids.clone());
    for entry in groups {
        let id = group_ids.get(&same_dn(&entry.dn)).and_then(|found| found.iter().next());
        let id = id.with_context(|| format!("{} is no group", entry.dn))?.id.clone();
        let group = crate::api::Group { id, display_name: entry.text("cn"), missing_since: None };
        let held: BTreeSet<String> = api.members(&group).await?.into_iter().filter_map(|member| member.id).collect();
        let listed = entry.values("member").iter().map(|member| same_dn(&String::from_utf8_lossy(member)));
        let known: Vec<&Identity> = listed.filter_map(|dn| all.get(&dn)).flatten().collect();
        let fewer = known.iter().filter(|identity| !identity.missing && !held.contains(&identity.id)).count();
        // A member that the directory still lists though its entry is gone may stay or go.
        let allowed: BTreeSet<&String> = known.iter().map(|identity| &identity.id).collect();
        let more = held.iter().filter(|id| !allowed.contains(id)).count();
        ensure!(more + fewer == 0, "{}: {more} members too many, {fewer} too few of {}", entry.dn, known.len());
    }
    Ok(())
}

/// The user or group of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    missing: bool,
    id: String,
}

/// DN → whom it names. Somebody who left and came back is two accounts of one DN.
fn identities(accounts: &[Account], id: fn(&Account) -> Option<String>) -> BTreeMap<String, BTreeSet<Identity>> {
    let mut by_dn: BTreeMap<String, BTreeSet<Identity>> = BTreeMap::new();
    for account in accounts {
        if let Some(id) = id(account) {
            let identity = Identity { missing: account.missing_since.is_some(), id };
            by_dn.entry(same_dn(&account.dn)).or_default().insert(identity);
        }
    }
    by_dn
}

/// A DN such that two spellings that occur in these directories are equal: case, and `\2C` for `\,`. Deliberately not
/// the product's own comparison.
fn same_dn(dn: &str) -> String {
    dn.to_lowercase().replace("\\2c", "\\,")
}

//! Groups that users name in an attribute (`memberOf`). Such a group is made when a user first names it. A membership
//! changes only with the entry of its user, so a user who does not come, or whose entry waits, keeps it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use postern_store::{
    AccountId, AccountKind, ExternalKey, GroupId, GroupRow, Intake, NamedGroup, NamedMember, NewAccount, Switch,
};

use super::decided::{Row, Wanted};
use super::group_name::GroupName;
use super::place::Place;
use crate::identity::membership;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The content of an account that no entry has brought.
const NO_CONTENT: [u8; 16] = [0; 16];

/// A user's account with the groups that its entry names.
pub struct Named {
    /// The account.
    pub account: AccountId,
    /// Its key.
    pub key: ExternalKey,
    /// The groups.
    pub groups: Vec<GroupName>,
}

/// The groups that a transaction writes members of.
pub struct Plan {
    users: Vec<Named>,
    groups: HashMap<ExternalKey, GroupId>,
}

/// Takes the named groups from the rows of users, and adds rows for groups that are new or missing.
pub async fn take(tx: &mut Intake, place: Place, rows: &mut Vec<Row>, now: Timestamp) -> Result<Option<Plan>> {
    let mut users = Vec::new();
    for row in rows.iter_mut() {
        let (account, key) = (row.account.id, row.account.external_key.clone());
        users.extend(row.named.take().map(|groups| Named { account, key, groups }));
    }
    if users.is_empty() {
        return Ok(None);
    }
    // Sorted, so that two imports that make groups do so in one order.
    let mut names: BTreeMap<&ExternalKey, &GroupName> = BTreeMap::new();
    for name in users.iter().flat_map(|user| &user.groups) {
        names.entry(&name.key).or_insert(name);
    }
    let keys: Vec<ExternalKey> = names.keys().map(|key| (*key).clone()).collect();
    let known = tx.named_groups(&keys).await?;
    let mut groups = HashMap::with_capacity(keys.len());
    for (key, name) in names {
        let known = known.get(key).copied();
        let group = known.map_or_else(GroupId::new, |known| known.group);
        groups.insert(key.clone(), group);
        if known.is_none_or(|known| known.missing) {
            rows.push(row(place, name, (group, known), now));
        }
    }
    Ok(Some(Plan { users, groups }))
}

/// The row of a group that is new, or missing until now.
fn row(place: Place, name: &GroupName, (id, known): (GroupId, Option<NamedGroup>), now: Timestamp) -> Row {
    let display_name = name.display_name();
    let account = NewAccount {
        id: known.map_or_else(AccountId::new, |known| known.account),
        kind: AccountKind::Group,
        external_key: name.key.clone(),
        dn_key: membership::dn_key(&name.text),
        dn: name.text.clone(),
        unique_value: None,
        attributes: serde_json::json!({ "cn": [&display_name] }).to_string(),
        hash: NO_CONTENT,
        identity: known.map(|known| known.group.as_uuid()),
        conflict: None,
        switch: Switch::Unknown,
    };
    let group = GroupRow {
        id,
        organization: place.organization,
        display_name,
        description: None,
        created_at: now,
        updated_at: now,
        missing_since: None,
    };
    Row {
        account,
        new: known.is_none(),
        outbound: false,
        returning: known.is_some(),
        former: None,
        identity: Wanted::Group(Box::new(group), Vec::new()),
        name_is_free: false,
        failed: Vec::new(),
        named: None,
    }
}

/// Adds the users to the groups that they name, and removes them from those that they name no longer.
pub async fn write(tx: &mut Intake, plan: Option<Plan>) -> Result<()> {
    let Some(Plan { users, groups }) = plan else { return Ok(()) };
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    let mut before = before(tx, &users).await?;
    for user in users {
        let mut before = before.remove(&user.account).unwrap_or_default();
        for name in &user.groups {
            let is_new = before.remove(&name.key).is_none();
            joined.extend(groups.get(&name.key).filter(|_| is_new).map(|group| (*group, user.key.clone())));
        }
        left.extend(before.into_values().map(|group| (group, user.key.clone())));
    }
    change(tx, &joined, &left).await
}

/// Removes the users from the groups that they name no longer.
pub async fn leave(tx: &mut Intake, users: Vec<Named>) -> Result<()> {
    let mut left = Vec::new();
    let mut before = before(tx, &users).await?;
    for user in users {
        let mut before = before.remove(&user.account).unwrap_or_default();
        before.retain(|key, _| user.groups.iter().all(|name| name.key != *key));
        left.extend(before.into_values().map(|group| (group, user.key.clone())));
    }
    change(tx, &[], &left).await
}

async fn change(tx: &mut Intake, joined: &[NamedMember], left: &[NamedMember]) -> Result<()> {
    if joined.is_empty() && left.is_empty() { Ok(()) } else { tx.change_named_members(joined, left).await }
}

/// The groups that each account names until now.
async fn before(tx: &mut Intake, users: &[Named]) -> Result<HashMap<AccountId, HashMap<ExternalKey, GroupId>>> {
    let accounts: Vec<AccountId> = users.iter().map(|user| user.account).collect();
    let mut before: HashMap<AccountId, HashMap<ExternalKey, GroupId>> = HashMap::new();
    for naming in tx.groups_named_by(&accounts).await? {
        before.entry(naming.account).or_default().insert(naming.key, naming.group);
    }
    Ok(before)
}

//! What imports have seen and a look-up does not show: hidden from the agent's bind account, or gone since.

use postern_store::{
    AccountKind, Comparison, DirectoryId, ExternalKey, GroupRow, OrganizationId, PageRequest, Result, Store,
};
use serde_json::{Map, Value};

use super::found::{ClaimedName, LookupUserResult, Unseen};

/// Most groups that are listed.
const GROUPS: u32 = 20;

/// The user name that the entry claims and another account has. `None`: it is in no conflict.
pub(super) async fn conflict(
    store: &Store,
    organization: OrganizationId,
    directory: DirectoryId,
    found: &LookupUserResult,
) -> Result<Option<ClaimedName>> {
    let entry = [(ExternalKey::from_text(&found.user.external_id), [0; 16])];
    let known = store.compare_accounts(organization, directory, AccountKind::User, &entry).await?.pop();
    let Some(Comparison::Known(known)) = known else { return Ok(None) };
    let conflict = store.get_conflict(organization, known.id).await?;
    Ok(conflict.map(|one| {
        let holder = Some(one.holder);
        ClaimedName { user_name: one.name_key, held_by_dn: one.holder_dn, holder }
    }))
}

/// Compares the answer of a look-up with what is known of the account. `None`: nothing is missing.
pub(super) async fn compare(
    store: &Store,
    organization: OrganizationId,
    directory: DirectoryId,
    found: &LookupUserResult,
) -> Result<Option<Unseen>> {
    // No content has this hash, so the account is returned with its id.
    let entry = [(ExternalKey::from_text(&found.user.external_id), [0; 16])];
    let known = store.compare_accounts(organization, directory, AccountKind::User, &entry).await?.pop();
    let Some(Comparison::Known(known)) = known else { return Ok(None) };
    let contents = store.known_contents(organization, &[known.id]).await?;
    let stored: Map<String, Value> =
        contents.first().and_then(|content| serde_json::from_str(&content.attributes).ok()).unwrap_or_default();
    let current = found.user.attributes.as_object();
    let shows = |name: &str| current.is_some_and(|current| current.keys().any(|has| has.eq_ignore_ascii_case(name)));
    let attributes: Vec<String> = stored.keys().filter(|name| !shows(name)).cloned().collect();
    let mut groups: Vec<GroupRow> = Vec::new();
    // Single groups cannot be compared; but no group at all is what a hidden attribute of members looks like.
    if let Some(user) = known.identity.filter(|_| found.groups.is_empty()) {
        groups = store.groups_of(organization, user, &PageRequest::first(GROUPS)).await?.items;
    }
    let groups: Vec<String> = groups.into_iter().map(|group| group.display_name).collect();
    let lacking = !attributes.is_empty() || !groups.is_empty();
    Ok(lacking.then_some(Unseen { attributes, groups }))
}

//! What another order of the directories would change, before it is set: the users of several directories are mapped by it,
//! and nothing is written.

use std::collections::HashMap;

use jiff::Timestamp;
use postern_store::{AccountKind, Directory, DirectoryId, OrderRun, OrganizationId, Store, UserId};

use super::effect::{Counting, Effect, Loss, LossKind, MOST};
use super::joined_profiles::{self, JoinedProfiles};
use super::threshold::exceeds;
use crate::identity::mapping::rules::RuleOf;

/// Accounts that are read together.
const WINDOW: u32 = 10_000;
/// Users in one transaction.
const BATCH: usize = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Maps the users of several directories by this order, which names all directories of the organization.
pub async fn of(store: &Store, organization: OrganizationId, order: &[Directory], now: Timestamp) -> Result<Effect> {
    let mut run =
        OrderRun { organization, revision: 0, settled: true, target: 0, after: Vec::new(), claimed_until: now };
    let ids = order.iter().map(|directory| directory.id).collect();
    let mut joined = JoinedProfiles::new(store, organization).in_order(ids);
    let mut counting = Counting::default();
    // How many users a directory would give their names.
    let mut renamed: HashMap<DirectoryId, u64> = HashMap::new();
    // Each of these users has two accounts or more.
    while counting.effect.users < MOST / 2 {
        let accounts = if run.target == 0 { Vec::new() } else { store.order_accounts(&run, WINDOW).await? };
        if let Some((last, _)) = accounts.last() {
            run.pass(last);
            let due: Vec<UserId> = accounts.iter().filter_map(|(_, user)| *user).collect();
            for batch in due.chunks(BATCH) {
                let mut tx = store.begin_identities(organization, now).await?;
                let known = tx.users_as_they_are(batch).await?;
                let wanted = joined.wanted(&mut tx, batch, now).await?;
                tx.rollback().await?;
                for wanted in &wanted {
                    let Some(known) = known.iter().find(|known| known.id == wanted.row.id) else { continue };
                    counting.effect.users += 1;
                    let is_renamed = known.user_name != wanted.row.user_name;
                    *renamed.entry(wanted.named_by).or_default() += u64::from(is_renamed);
                    counting.named_user(&joined_profiles::profile(known), &wanted.row, is_renamed);
                }
            }
        } else if let Some(target) = store.order_target(&run).await? {
            run.go_to(target);
        } else {
            counting.effect.complete = true;
            break;
        }
    }
    let mut effect = counting.judged(&postern_store::Thresholds::default());
    for directory in order {
        let Some(count) = renamed.remove(&directory.id).filter(|count| *count > 0) else { continue };
        let known = store.count_present(organization, directory.id, AccountKind::User).await?;
        let held = exceeds(directory.thresholds.renamed, count, known);
        let field = "user_name".to_owned();
        effect.losses.push(Loss { of: RuleOf::Users, field, kind: LossKind::Renamed, count, known, held });
        effect.needs_confirmation |= held;
    }
    Ok(effect)
}

//! Members who are renamed in an import that is held. Groups name members by DN or login. A member whose entry waits
//! still has the former name, and a group that waits still has the former name of a renamed member. Neither may cost
//! the membership.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use postern_proto::chunk::MemberForm;
use postern_store::{AccountId, KnownContent, Store, bounded};

use super::decided::{Row, Wanted};
use super::place::Place;
use crate::identity::membership;

/// A content hash that no entry has: the next import reads such an entry again.
const NO_CONTENT: [u8; 16] = [0; 16];

/// The names that change in an import, as groups use them.
#[derive(Debug, Default)]
pub struct FormerNames {
    /// For entries that wait: the former name by the new one.
    waiting: HashMap<String, String, RandomState>,
    /// For entries that are applied: the new name by the former one.
    applied: HashMap<String, String, RandomState>,
}

impl FormerNames {
    /// Records the names that these rows change. Call it before they are written.
    pub async fn note(
        &mut self,
        store: &Store,
        place: Place,
        form: MemberForm,
        rows: &[Row],
        waits: bool,
    ) -> Result<(), postern_store::Error> {
        let accounts: Vec<AccountId> = rows.iter().filter(|row| !row.new).map(|row| row.account.id).collect();
        if accounts.is_empty() {
            return Ok(());
        }
        let known = store.known_contents(place.organization, &accounts).await?;
        let known: HashMap<AccountId, KnownContent, RandomState> =
            known.into_iter().map(|content| (content.account, content)).collect();
        for row in rows {
            let Some(old) = known.get(&row.account.id) else { continue };
            let (former, new) = match form {
                MemberForm::Dn => (Some(membership::dn_key(&old.dn)), Some(row.account.dn_key.clone())),
                MemberForm::UniqueValue => (old.unique_value.clone(), row.account.unique_value.clone()),
                // A member stays the same account under any name.
                MemberForm::GroupNames => continue,
            };
            let (Some(former), Some(new)) = (former.map(stored), new.map(stored)) else { continue };
            if former == new {
                continue;
            }
            if waits {
                self.waiting.insert(new, former);
            } else {
                self.applied.insert(former, new);
            }
        }
        Ok(())
    }

    /// Gives members whose entries wait their former names in these groups, which do not wait. The next import reads
    /// such a group again. Returns whether there is one.
    pub fn keep_in(&self, rows: &mut [Row]) -> bool {
        let mut any = false;
        for row in rows {
            let Wanted::Group(_, names) = &mut row.identity else { continue };
            let mut kept = false;
            for name in names.iter_mut() {
                if let Some(former) = self.former(name) {
                    *name = former;
                    kept = true;
                }
            }
            if kept {
                row.account.hash = NO_CONTENT;
                any = true;
            }
        }
        any
    }

    /// The members of a waiting group until the decision: the current ones under their current names. Members leave it
    /// if `may_leave`; none are added.
    pub fn until_decided(&self, known: &HashSet<String>, wanted: Vec<String>, may_leave: bool) -> Vec<String> {
        let wanted = wanted.into_iter().map(|name| self.former(&name).unwrap_or_else(|| stored(name)));
        let wanted: HashSet<String, RandomState> = wanted.collect();
        let name = |name: &String| match self.applied.get(name) {
            _ if wanted.contains(name) => Some(name.clone()),
            Some(new) if !may_leave || wanted.contains(new) => Some(new.clone()),
            _ => (!may_leave).then(|| name.clone()),
        };
        known.iter().filter_map(name).collect()
    }

    fn former(&self, name: &str) -> Option<String> {
        if self.waiting.is_empty() { None } else { self.waiting.get(bounded(name.into()).as_ref()).cloned() }
    }
}

/// A name as groups store it.
fn stored(name: String) -> String {
    bounded(name.into()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_waits_loses_who_left_and_nobody_who_was_renamed() {
        let mut names = FormerNames::default();
        names.waiting.insert("held-new".to_owned(), "held".to_owned());
        names.applied.insert("moved".to_owned(), "moved-new".to_owned());
        let known: HashSet<String> = ["stays", "left", "held", "moved"].map(str::to_owned).into();
        let until = |wanted: &[&str], may_leave| {
            let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
            let mut kept = names.until_decided(&known, wanted, may_leave);
            kept.sort_unstable();
            kept
        };
        let wanted = ["stays", "held-new", "moved-new", "new"];
        assert_eq!(until(&wanted, true), ["held", "moved-new", "stays"]);
        assert_eq!(until(&wanted, false), ["held", "left", "moved-new", "stays"]);
        assert_eq!(until(&[], true), [""; 0]);
    }
}

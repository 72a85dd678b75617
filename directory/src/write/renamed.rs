//! Groups that name an entry by the DN that it had. Most servers leave that DN where it is, and the next entry of that name would
//! inherit the memberships. So the groups get the new DN; those below an entry that is moved are called otherwise too.

use bytes::Bytes;

use super::nesting::uid_in;
use super::operation::Subject;
use super::outcome::RefusedMember;
use super::request::Part;
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure};
use crate::filter;
use postern_dn::Dn;

/// noSuchAttribute: the directory has taken the old name out itself, or somebody else has.
const NOT_A_MEMBER: u32 = 16;
/// attributeOrValueExists: the new name is there already.
const IS_A_MEMBER: u32 = 20;
/// noSuchObject
const GONE: u32 = 32;

/// An entry with the DN that it had and the DN that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Renamed {
    old: Dn,
    new: Dn,
}

impl Renamed {
    /// Whether the two are different names to a server. Names that differ only in case are one.
    fn is_other(&self) -> bool {
        self.old.case_folded() != self.new.case_folded()
    }

    /// The `uid` before and after, if the entry is named by it and it has changed.
    fn uids(&self) -> Option<(String, String)> {
        let (old, new) = (uid_in(&self.old)?, uid_in(&self.new)?);
        (!old.eq_ignore_ascii_case(&new)).then_some((old, new))
    }
}

impl Work<'_> {
    /// What is called otherwise once an entry that was `old` is `new`: it and all below it. `at`: the entry as it is now,
    /// under one of the two. Empty where the server keeps memberships itself.
    pub(crate) async fn renamed(&mut self, at: &Target, old: &Dn, new: &Dn) -> Result<Vec<Renamed>, Error> {
        if self.is_active_directory() || self.config.group_entries().is_none() {
            return Ok(Vec::new());
        }
        let below = self.dns_below(at).await?;
        Ok(pairs(&at.dn, &below, old, new))
    }

    /// The groups that name one of these entries by the DN or `uid` that it had.
    pub(crate) async fn naming(&mut self, renamed: &[Renamed]) -> Result<Vec<Dn>, Error> {
        let mut groups = Vec::new();
        for one in renamed.iter().filter(|one| one.is_other()) {
            let uid = one.uids().map(|(old, _)| Bytes::from(old));
            groups.extend(self.listing(&one.old.to_string(), uid.as_ref()).await?.into_values());
        }
        Ok(groups)
    }

    /// The DN that the operation knows of an entry which has another one now, if nobody else has it.
    pub(crate) async fn left_behind(&mut self, subject: &Subject, target: &Target) -> Result<Option<Dn>, Error> {
        let known = subject.external_id.as_ref().and(subject.dn.as_ref());
        let Some(text) = known.filter(|dn| self.is_inside(dn, self.phase)) else { return Ok(None) };
        let Ok(dn) = Dn::parse(text) else { return Ok(None) };
        if dn.case_folded() == target.dn.case_folded() || self.read(text, &[]).await?.is_some() {
            return Ok(None);
        }
        Ok(Some(dn))
    }

    /// Puts the new names into the groups that have the old ones. A group that refuses stops no other.
    pub(crate) async fn rename_in_groups(&mut self, renamed: &[Renamed]) -> Result<Vec<RefusedMember>, Error> {
        let mut refused = Vec::new();
        for one in renamed.iter().filter(|one| one.is_other()) {
            let uids = match one.uids() {
                Some(uids) if self.phase == Phase::Users && !self.is_somebodys(&uids.0).await? => Some(uids),
                _ => None,
            };
            let old_uid = uids.as_ref().map(|(old, _)| Bytes::from(old.clone()));
            for text in self.listing(&one.old.to_string(), old_uid.as_ref()).await?.into_keys() {
                let Some(found) = self.read(&text, &[]).await? else { continue };
                let group = self.group(&found);
                let (old, new) = match (group.by_dn, &uids) {
                    (true, _) => (one.old.to_string(), one.new.to_string()),
                    (false, Some((old, new))) => (old.clone(), new.clone()),
                    (false, None) => continue,
                };
                let subject = Subject::dn(one.new.to_string());
                refused.extend(self.put_in_place(&text, &group.attribute, old, new, &subject).await?);
            }
        }
        Ok(refused)
    }

    /// Whether somebody has this `uid`, whom groups then may mean.
    async fn is_somebodys(&mut self, uid: &str) -> Result<bool, Error> {
        Ok(!self.search(&filter::equals("uid", uid.as_bytes()), 1).await?.is_empty())
    }

    async fn put_in_place(
        &mut self,
        group: &str,
        attribute: &str,
        old: String,
        new: String,
        subject: &Subject,
    ) -> Result<Option<RefusedMember>, Error> {
        let gone = Part::Delete(attribute.to_owned(), vec![Bytes::from(old)]);
        // Both in one request, so that a group is never empty, and the new one first.
        let both = vec![Part::Add(attribute.to_owned(), vec![Bytes::from(new)]), gone.clone()];
        let answer = match self.session.modify(Action::Members, group, both).await {
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == IS_A_MEMBER => {
                self.session.modify(Action::Members, group, vec![gone]).await
            }
            answer => answer,
        };
        match answer {
            Ok(()) => Ok(None),
            Err(Error::Write(Failure::Refused(refusal))) if matches!(refusal.code, NOT_A_MEMBER | GONE) => Ok(None),
            Err(Error::Write(Failure::Refused(refusal))) => Ok(Some(RefusedMember::new(subject, &refusal))),
            Err(error) => Err(error),
        }
    }
}

/// The entry and those below it, each with both names. `at`: where they are now, one of the two.
fn pairs(at: &Dn, below: &[Dn], old: &Dn, new: &Dn) -> Vec<Renamed> {
    let both = |dn: &Dn| {
        let levels = dn.rdns().len().saturating_sub(at.rdns().len());
        Renamed { old: dn.moved_below(levels, old), new: dn.moved_below(levels, new) }
    };
    std::iter::once(Renamed { old: old.clone(), new: new.clone() }).chain(below.iter().map(both)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    fn renamed(old: &str, new: &str) -> Renamed {
        Renamed { old: dn(old), new: dn(new) }
    }

    #[test]
    fn those_below_an_entry_are_called_otherwise_too() {
        let (old, new) = (dn("uid=amy,ou=a,dc=x"), dn("uid=amelia,ou=b,dc=x"));
        let expected = [
            renamed("uid=amy,ou=a,dc=x", "uid=amelia,ou=b,dc=x"),
            renamed("cn=one,uid=amy,ou=a,dc=x", "cn=one,uid=amelia,ou=b,dc=x"),
        ];
        assert_eq!(pairs(&old, &[dn("cn=one,uid=amy,ou=a,dc=x")], &old, &new), expected);
        assert_eq!(pairs(&new, &[dn("cn=one,uid=amelia,ou=b,dc=x")], &old, &new), expected, "after the move");
    }

    #[test]
    fn a_uid_changes_with_a_rename_and_not_with_a_move_or_in_case() {
        let uids = |old, new| renamed(old, new).uids();
        let changed = Some(("amy".to_owned(), "amelia".to_owned()));
        assert_eq!(uids("uid=amy,dc=x", "uid=amelia,dc=x"), changed);
        assert_eq!(uids("uid=amy,ou=a,dc=x", "uid=amy,ou=b,dc=x"), None);
        assert_eq!(uids("cn=Amy,dc=x", "cn=Amelia,dc=x"), None);
        assert!(!renamed("uid=amy,dc=x", "UID=Amy,DC=x").is_other(), "taking out the one would take out the other");
    }
}

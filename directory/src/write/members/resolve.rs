//! Who is meant: the values by which a group lists members, from their external ids or DNs.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::group::{Group, Member, Resolved};
use crate::error::{Error, Phase};
use crate::flavour::external_id_filter;
use crate::second_look::everywhere;
use crate::write::operation::Subject;
use crate::write::work::Work;
use postern_dn::Dn;

/// External ids in one search.
const AT_ONCE: usize = 50;

impl Work<'_> {
    /// The members that are meant, each once. To leave a group, a DN is enough, even of an entry that is gone.
    pub(crate) async fn resolve(
        &mut self,
        group: &Group,
        subjects: &[Subject],
        leaving: bool,
    ) -> Result<Resolved, Error> {
        let by_id = self.by_id(subjects).await?;
        let (mut resolved, mut seen) = (Resolved::default(), HashSet::new());
        for subject in subjects {
            let found = subject.external_id.as_ref().and_then(|id| by_id.get(id)).cloned();
            let found = match (found, &subject.external_id, &subject.dn) {
                (Some(found), ..) => Some(found),
                (None, None, Some(dn)) => self.by_dn(dn, leaving).await?,
                (None, Some(_), Some(dn)) if leaving => Some(dn.clone()),
                _ => None,
            };
            let value = match &found {
                Some(dn) if group.by_dn => Some(Bytes::copy_from_slice(dn.as_bytes())),
                Some(dn) => self.uid_of(dn).await?,
                None => None,
            };
            let dn = found.as_ref().and_then(|dn| Dn::parse(dn).ok());
            if leaving && group.by_dn {
                self.add_former_name(subject, dn.as_ref(), &mut resolved, &mut seen).await?;
            }
            match value {
                Some(value) => {
                    let key = dn.as_ref().filter(|_| group.by_dn).map(Dn::case_folded);
                    if seen.insert(key.map_or_else(|| value.to_vec(), String::into_bytes)) {
                        resolved.members.push(Member { subject: subject.clone(), dn, value });
                    }
                }
                None => resolved.unknown.extend(subject.external_id.clone().or_else(|| subject.dn.clone())),
            }
        }
        Ok(resolved)
    }

    async fn by_id(&mut self, subjects: &[Subject]) -> Result<HashMap<String, String>, Error> {
        let mut names = self.external_ids(Phase::Users);
        for name in self.external_ids(Phase::Groups) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut bases = self.bases(Phase::Users);
        bases.extend(self.bases(Phase::Groups));
        let ids: Vec<&String> = subjects.iter().filter_map(|subject| subject.external_id.as_ref()).collect();
        let attributes: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = HashMap::new();
        for some in ids.chunks(AT_ONCE) {
            let one = |id: &&String| names.iter().map(|name| external_id_filter(name, id)).collect::<String>();
            let condition = format!("(|{})", some.iter().map(one).collect::<String>());
            let (connection, root) = (&mut self.session.connection, &self.session.root);
            found.extend(everywhere(connection, root, &bases, &condition, &attributes).await?);
        }
        Ok(found)
    }

    /// The name by which a member was known goes too, if the entry has another one now and nobody else has this one: not
    /// every server changes its groups when a member is renamed.
    async fn add_former_name(
        &mut self,
        subject: &Subject,
        now: Option<&Dn>,
        resolved: &mut Resolved,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<(), Error> {
        let (Some(_), Some(text), Some(now)) = (&subject.external_id, &subject.dn, now) else { return Ok(()) };
        let Ok(former) = Dn::parse(text) else { return Ok(()) };
        let inside = self.is_inside(text, Phase::Users) || self.is_inside(text, Phase::Groups);
        if former.case_folded() == now.case_folded() || !inside || self.read(text, &[]).await?.is_some() {
            return Ok(());
        }
        if seen.insert(former.case_folded().into_bytes()) {
            let value = Bytes::copy_from_slice(text.as_bytes());
            resolved.members.push(Member { subject: subject.clone(), dn: Some(former), value });
        }
        Ok(())
    }

    /// OpenLDAP takes the DN of nobody as a member, so that it is looked for first.
    async fn by_dn(&mut self, dn: &str, leaving: bool) -> Result<Option<String>, Error> {
        let inside = self.is_inside(dn, Phase::Users) || self.is_inside(dn, Phase::Groups);
        if !inside || leaving {
            return Ok(inside.then(|| dn.to_owned()));
        }
        Ok(self.read(dn, &[]).await?.map(|target| target.text))
    }

    async fn uid_of(&mut self, dn: &str) -> Result<Option<Bytes>, Error> {
        let found = self.read(dn, &["uid"]).await?;
        Ok(found.and_then(|target| target.values.of(&self.session.schema, "uid").first().cloned()))
    }
}

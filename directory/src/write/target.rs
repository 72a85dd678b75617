//! The entry that an operation means: found by its external id or DN, and read as it is now.

use super::attributes::Values;
use super::facts;
use super::gate::Facts;
use super::operation::Subject;
use super::work::Work;
use crate::error::{Error, Phase, Step};
use crate::failure::Failure;
use crate::flavour::{external_id, external_id_filter};
use crate::raw_entry::RawEntry;
use crate::second_look::everywhere;
use postern_dn::Dn;

const ANY: &str = "(objectClass=*)";
/// noSuchObject and invalidDNSyntax
const NO_SUCH_ENTRY: [u32; 2] = [32, 34];

/// An entry as it is now.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its DN as the server writes it.
    pub(crate) text: String,
    pub(crate) dn: Dn,
    pub(crate) external_id: Option<String>,
    pub(crate) values: Values,
    pub(crate) facts: Facts,
}

impl Work<'_> {
    /// The entry with these attributes; it must be there.
    pub(crate) async fn target(&mut self, subject: &Subject, names: &[&str]) -> Result<Target, Error> {
        self.find(subject, names).await?.ok_or_else(|| Failure::NotFound.into())
    }

    /// The entry with these attributes. `None`: it is not found, which does not mean that it is gone.
    pub(crate) async fn find(&mut self, subject: &Subject, names: &[&str]) -> Result<Option<Target>, Error> {
        // It may be moved between the search and the read, but not for ever.
        for _ in 0..3 {
            let Some(dn) = self.locate(subject).await? else { return Ok(None) };
            let found = self.read(&dn, names).await?;
            let Some(found) = found else {
                if subject.external_id.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if subject.external_id.is_none() || found.external_id == subject.external_id {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn locate(&mut self, subject: &Subject) -> Result<Option<String>, Error> {
        let Some(id) = &subject.external_id else {
            // What lies outside of the base DNs is nobody's business, not even whether it exists.
            let inside = |dn: &&String| self.is_inside(dn, self.phase);
            return Ok(subject.dn.as_ref().filter(inside).cloned());
        };
        let (names, bases) = (self.external_ids(self.phase), self.bases(self.phase));
        let conditions: String = names.iter().map(|name| external_id_filter(name, id)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (connection, root) = (&mut self.session.connection, &self.session.root);
        let mut found = everywhere(connection, root, &bases, &format!("(|{conditions})"), &names).await?;
        Ok(found.remove(id))
    }

    /// Whether a DN lies where entries of a kind are.
    pub(crate) fn is_inside(&self, dn: &str, phase: Phase) -> bool {
        let Ok(dn) = Dn::parse(dn) else { return false };
        self.bases(phase).iter().any(|base| Dn::parse(base).is_ok_and(|base| dn.is_within(&base)))
    }

    /// The entry of this DN.
    pub(crate) async fn read(&mut self, dn: &str, names: &[&str]) -> Result<Option<Target>, Error> {
        let ids = self.external_ids(self.phase);
        let mut asked: Vec<String> = ids.clone();
        let facts = facts::names(self.flavour());
        for name in names.iter().chain(facts).chain(&["objectClass"]) {
            if !asked.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                asked.push((*name).to_owned());
            }
        }
        let message = match self.session.connection.read_entry(dn, ANY, &asked, Step::Search).await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(None),
            Err(Error::Refused { code, .. }) if NO_SUCH_ENTRY.contains(&code) => return Ok(None),
            Err(error) => return Err(error),
        };
        let unusable = |reason: &str| Error::Unusable { reason: reason.to_owned() };
        let entry = RawEntry::parse(&message).map_err(|_| unusable("it cannot be read"))?;
        let text = entry.dn().to_owned();
        let dn = Dn::parse(&text).map_err(|_| unusable("its DN cannot be read"))?;
        let values = Values::read(entry)?;
        let id = |name: &String| external_id(name, values.of(&self.session.schema, name).first()?);
        let external_id = ids.iter().find_map(id);
        let facts = self.facts(&dn, &values);
        Ok(Some(Target { text, dn, external_id, values, facts }))
    }
}

//! New entries. Creating what exists is settled by rule, and an entry that an earlier try has made is known again.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::gate::{Facts, Intent, Kind};
use super::operation::{Create, Existing};
use super::outcome::{Done, Effect};
use super::target::Target;
use super::values;
use super::work::Work;
use crate::config::Scope;
use crate::error::{Error, Phase};
use crate::filter;
use crate::guard::is_reference;
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};
use postern_dn::Dn;

/// entryAlreadyExists
const EXISTS: u32 = 68;

/// An entry to be.
#[derive(Debug)]
struct NewEntry {
    dn: Dn,
    attributes: Vec<(String, Vec<Bytes>)>,
    /// The attribute by which it is known, and its value.
    unique: (String, Bytes),
}

impl Work<'_> {
    pub(crate) async fn create(&mut self, create: &Create) -> Result<Done, Error> {
        let new = self.new_entry(create)?;
        let facts = Facts::default();
        self.permit(&Intent {
            kind: Kind::Create,
            phase: self.phase,
            external_id: None,
            dn: &new.dn,
            destination: None,
            attributes: new.attributes.iter().map(|(name, _)| name.as_str()).collect(),
            groups: Vec::new(),
            members: Vec::new(),
            facts: &facts,
            again: self.again,
        })?;
        if let Some(existing) = self.with_unique(&new).await? {
            return self.existing(create, &new, &existing).await;
        }
        match self.session.add(&new.dn.to_string(), new.attributes.clone()).await {
            Ok(()) => self.finish(&new.dn.to_string(), Done::new(Effect::Created)).await,
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == EXISTS => {
                let existing = match self.with_unique(&new).await? {
                    Some(existing) => existing,
                    None => return Err(Failure::Taken { what: "name".to_owned() }.into()),
                };
                self.existing(create, &new, &existing).await
            }
            Err(error) => Err(error),
        }
    }

    /// What becomes of an entry that has the unique value already.
    async fn existing(&mut self, create: &Create, new: &NewEntry, existing: &Target) -> Result<Done, Error> {
        let effect = match (self.is_equal(new, existing), create.existing) {
            (true, _) if self.again => Effect::Created,
            (true, _) => Effect::AlreadySo,
            (false, Existing::Adopt) => Effect::Adopted,
            (false, Existing::Conflict) => return Err(Failure::Taken { what: new.unique.0.clone() }.into()),
        };
        self.finish(&existing.text, Done::new(effect)).await
    }

    /// Whether an entry is in every way what was to be created.
    fn is_equal(&self, new: &NewEntry, existing: &Target) -> bool {
        let schema = &self.session.schema;
        let of = |name: &str| existing.values.of(schema, name);
        existing.dn == new.dn
            && new.attributes.iter().all(|(name, wanted)| {
                let rule = schema.rule(name);
                match name.eq_ignore_ascii_case("objectClass") {
                    // Servers add the superior classes.
                    true => wanted.iter().all(|class| of(name).iter().any(|known| known.eq_ignore_ascii_case(class))),
                    false => self.is_same(name, rule, of(name), wanted),
                }
            })
    }

    fn new_entry(&self, create: &Create) -> Result<NewEntry, Error> {
        let mut attributes = Vec::with_capacity(create.attributes.len() + 2);
        for (name, wanted) in &create.attributes {
            self.writable(name)?;
            let rule = self.session.schema.rule(name);
            let wanted = self.convert(name, rule, wanted)?;
            self.check_name(name, &wanted)?;
            if !wanted.is_empty() {
                attributes.push((name.clone(), wanted));
            }
        }
        let rdn = self.rdn_attribute();
        let value = self.first(&attributes, rdn)?;
        let text = std::str::from_utf8(&value).map_err(|_| Failure::invalid(rdn, "the value is not text"))?;
        let dn = self.container(create.container.as_deref())?.child(rdn, text);
        if !attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case("objectClass")) {
            attributes.push(("objectClass".to_owned(), self.object_classes()));
        }
        let unique = self.unique_attribute().to_owned();
        let value = self.first(&attributes, &unique)?;
        Ok(NewEntry { dn, attributes, unique: (unique, value) })
    }

    fn first(&self, attributes: &[(String, Vec<Bytes>)], wanted: &str) -> Result<Bytes, Failure> {
        let values = attributes.iter().find(|(name, _)| self.session.schema.same(name, wanted));
        let value = values.and_then(|(_, values)| values.first()).cloned();
        value.ok_or_else(|| Failure::invalid(wanted, "a new entry needs a value of this attribute"))
    }

    fn rdn_attribute(&self) -> &str {
        let (configured, usual) = match self.phase {
            Phase::Users if self.is_active_directory() => (&self.write.user_rdn_attribute, "cn"),
            Phase::Users => (&self.write.user_rdn_attribute, "uid"),
            Phase::Groups => (&self.write.group_rdn_attribute, "cn"),
        };
        configured.as_deref().unwrap_or(usual)
    }

    fn object_classes(&self) -> Vec<Bytes> {
        let (configured, usual) = match (self.phase, self.is_active_directory()) {
            (Phase::Users, true) => (&self.write.user_object_classes, "user"),
            (Phase::Users, false) => (&self.write.user_object_classes, "inetOrgPerson"),
            (Phase::Groups, true) => (&self.write.group_object_classes, "group"),
            (Phase::Groups, false) => (&self.write.group_object_classes, "groupOfNames"),
        };
        let usual = [usual.to_owned()];
        let classes = if configured.is_empty() { &usual[..] } else { configured };
        classes.iter().map(|class| Bytes::copy_from_slice(class.as_bytes())).collect()
    }

    fn unique_attribute(&self) -> &str {
        match self.phase {
            Phase::Users => &self.config.users.unique_attribute,
            Phase::Groups if self.is_active_directory() => "sAMAccountName",
            Phase::Groups => self.rdn_attribute(),
        }
    }

    /// The entry that has the unique value of a new one.
    async fn with_unique(&mut self, new: &NewEntry) -> Result<Option<Target>, Error> {
        let (attribute, value) = &new.unique;
        let found = self.search(&filter::equals(attribute, value), 2).await?;
        let names: Vec<&str> = new.attributes.iter().map(|(name, _)| name.as_str()).collect();
        match found.as_slice() {
            [] => Ok(None),
            [dn] => self.read(dn, &names).await,
            _ => Err(Failure::Ambiguous { attribute: attribute.clone() }.into()),
        }
    }

    /// The DNs of entries that match, where entries of this kind are.
    async fn search(&mut self, filter: &str, limit: usize) -> Result<Vec<String>, Error> {
        let (bases, attributes) = (self.bases(self.phase), ["1.1".to_owned()]);
        let never = CancellationToken::new();
        let mut found = Vec::new();
        for base_dn in &bases {
            let query = Query { base_dn, scope: Scope::Subtree, filter, attributes: &attributes, page_size: 100 };
            let mut search = PagedSearch::new(&mut self.session.connection, query, &never);
            while let Some(batch) = search.next().await? {
                for message in batch.iter().filter(|message| !is_reference(message)) {
                    let entry = RawEntry::parse(message).ok();
                    found.extend(entry.filter(|_| found.len() < limit).map(|entry| entry.dn().to_owned()));
                }
            }
        }
        Ok(found)
    }

    /// The values in the form of the attribute.
    pub(crate) fn convert(
        &self,
        name: &str,
        rule: super::syntax::Rule,
        wanted: &[Bytes],
    ) -> Result<Vec<Bytes>, Failure> {
        values::converted(rule, wanted).map_err(|reason| Failure::invalid(name, reason))
    }

    pub(crate) fn is_same(&self, _name: &str, rule: super::syntax::Rule, one: &[Bytes], other: &[Bytes]) -> bool {
        values::same(rule, one, other)
    }

    /// Rules for names that the directory itself does not keep.
    pub(crate) fn check_name(&self, _name: &str, _values: &[Bytes]) -> Result<(), Failure> {
        Ok(())
    }
}

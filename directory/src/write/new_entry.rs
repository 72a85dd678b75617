//! What a new entry is made of: its name, its classes, its attributes in the directory's form, and what must be unique.

use bytes::Bytes;

use super::operation::Create;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::Failure;
use postern_dn::Dn;

const CLASS: &str = "objectClass";
/// Unique in the whole forest of Active Directory.
pub(crate) const PRINCIPAL: &str = "userPrincipalName";

/// An entry to be.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) dn: Dn,
    pub(crate) attributes: Vec<(String, Vec<Bytes>)>,
    /// What nobody else may have, the attribute by which the entry is known first.
    pub(crate) unique: Vec<(String, Bytes)>,
    /// The attribute that names it.
    pub(crate) rdn: String,
}

impl NewEntry {
    /// The names of its attributes.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.attributes.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether it has this unique attribute.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.unique.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

impl Work<'_> {
    pub(crate) fn new_entry(&self, create: &Create, names: &[String]) -> Result<NewEntry, Error> {
        let mut attributes = Vec::with_capacity(create.attributes.len() + 2);
        for (name, wanted) in &create.attributes {
            self.writable(name, wanted)?;
            let rule = self.session.schema.rule(name);
            let wanted = self.convert(name, rule, wanted)?;
            if !wanted.is_empty() {
                attributes.push((name.clone(), wanted));
            }
        }
        if let Some((_, classes)) = attributes.iter().find(|(name, _)| self.session.schema.same(name, CLASS)) {
            self.classes_fit(classes, &[])?;
        }
        let rdn = self.rdn_attribute().to_owned();
        self.fill(&mut attributes, &rdn);
        for (name, values) in &attributes {
            self.check_name(name, values)?;
        }
        let value = self.first(&attributes, &rdn)?;
        let text = std::str::from_utf8(&value).map_err(|_| Failure::invalid(&rdn, "the value is not text"))?;
        let dn = self.container(create.container.as_deref())?.child(&rdn, text);
        let mut unique = self.unique(&attributes)?;
        for name in names {
            let names_only = self.is_active_directory() && self.session.schema.same(name, &rdn);
            if !names_only && !unique.iter().any(|(known, _)| self.session.schema.same(known, name)) {
                unique.push((name.clone(), self.first(&attributes, name)?));
            }
        }
        Ok(NewEntry { dn, attributes, unique, rdn })
    }

    /// Adds what the operation leaves to us.
    fn fill(&self, attributes: &mut Vec<(String, Vec<Bytes>)>, rdn: &str) {
        let first = |name: &str, attributes: &[(String, Vec<Bytes>)]| self.first(attributes, name).ok();
        if !attributes.iter().any(|(name, _)| self.session.schema.same(name, CLASS)) {
            attributes.push((CLASS.to_owned(), self.object_classes()));
        }
        if !self.is_active_directory() {
            return;
        }
        let known_by = self.unique_attribute();
        if first(rdn, attributes).is_none()
            && let Some(value) = first("displayName", attributes).or_else(|| first(known_by, attributes))
        {
            attributes.push((rdn.to_owned(), vec![value]));
        }
        // Without one, the server makes a name of random characters.
        if self.phase == Phase::Groups
            && first("sAMAccountName", attributes).is_none()
            && let Some(value) = first(rdn, attributes)
        {
            attributes.push(("sAMAccountName".to_owned(), vec![value]));
        }
    }

    fn unique(&self, attributes: &[(String, Vec<Bytes>)]) -> Result<Vec<(String, Bytes)>, Failure> {
        let known_by = self.unique_attribute();
        let mut unique = vec![(known_by.to_owned(), self.first(attributes, known_by)?)];
        if self.is_active_directory() {
            unique.push(("sAMAccountName".to_owned(), self.first(attributes, "sAMAccountName")?));
            unique.extend(self.first(attributes, PRINCIPAL).ok().map(|value| (PRINCIPAL.to_owned(), value)));
            let mut seen: Vec<String> = Vec::new();
            unique.retain(|(name, _)| {
                let new = !seen.contains(&name.to_ascii_lowercase());
                seen.push(name.to_ascii_lowercase());
                new
            });
        }
        Ok(unique)
    }

    fn first(&self, attributes: &[(String, Vec<Bytes>)], wanted: &str) -> Result<Bytes, Failure> {
        let values = attributes.iter().find(|(name, _)| self.session.schema.same(name, wanted));
        let value = values.and_then(|(_, values)| values.first()).cloned();
        value.ok_or_else(|| Failure::invalid(wanted, "a new entry needs a value of this attribute"))
    }

    pub(crate) fn rdn_attribute(&self) -> &str {
        let (configured, usual) = match self.phase {
            Phase::Users if self.is_active_directory() => (&self.write.user_rdn_attribute, "cn"),
            Phase::Users => (&self.write.user_rdn_attribute, "uid"),
            Phase::Groups => (&self.write.group_rdn_attribute, "cn"),
        };
        configured.as_deref().unwrap_or(usual)
    }

    /// The classes of new entries, as the site says.
    pub(crate) fn object_classes(&self) -> Vec<Bytes> {
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

    pub(crate) fn unique_attribute(&self) -> &str {
        match self.phase {
            Phase::Users => &self.config.users.unique_attribute,
            Phase::Groups if self.is_active_directory() => "sAMAccountName",
            Phase::Groups => self.rdn_attribute(),
        }
    }
}

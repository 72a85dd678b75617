//! A new entry of which the directory refuses single attributes: it is made without them, and they are named.

use bytes::Bytes;

use super::new_entry::NewEntry;
use super::outcome::RefusedAttribute;
use super::work::Work;
use crate::error::Error;
use crate::failure::{Failure, Refusal};

/// An entry is made of these, or not at all.
const NEEDED: &[&str] = &["objectClass", "userAccountControl", "unicodePwd", "pwdLastSet", "member", "uniqueMember"];
/// So many attributes are left out one after the other to find the one that is refused.
const MOST_TRIES: usize = 40;

type Attributes = Vec<(String, Vec<Bytes>)>;

impl Work<'_> {
    /// Makes an entry of all that the directory takes. What names the entry or must be unique is never left out.
    pub(crate) async fn add_what_is_taken(
        &mut self,
        dn: &str,
        mut attributes: Attributes,
        new: &NewEntry,
    ) -> Result<Vec<RefusedAttribute>, Error> {
        let mut refused = Vec::new();
        loop {
            let refusal = match self.session.add(dn, attributes.clone()).await {
                Ok(()) => return Ok(refused),
                Err(Error::Write(Failure::Refused(refusal))) if is_of_one_attribute(&refusal) => refusal,
                Err(error) => return Err(error),
            };
            if refusal.may_be_taken() && self.has_been_taken(new).await? {
                return Err(Failure::Refused(refusal).into());
            }
            let optional: Vec<String> =
                attributes.iter().map(|(name, _)| name).filter(|name| self.is_optional(name, new)).cloned().collect();
            if let Some(name) = named(&optional, &refusal.diagnostic) {
                attributes.retain(|(known, _)| *known != name);
                refused.push(RefusedAttribute::new(&name, &refusal));
                continue;
            }
            return match self.without_one(dn, &attributes, &optional).await? {
                Some(name) => {
                    refused.push(RefusedAttribute::new(&name, &refusal));
                    Ok(refused)
                }
                None => Err(Failure::Refused(refusal).into()),
            };
        }
    }

    /// Leaves out one after the other, where the server does not say which.
    async fn without_one(
        &mut self,
        dn: &str,
        attributes: &Attributes,
        optional: &[String],
    ) -> Result<Option<String>, Error> {
        for name in optional.iter().take(MOST_TRIES) {
            let others = attributes.iter().filter(|(known, _)| known != name).cloned().collect();
            match self.session.add(dn, others).await {
                Ok(()) => return Ok(Some(name.clone())),
                Err(Error::Write(Failure::Refused(refusal))) if is_of_one_attribute(&refusal) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether somebody has one of its unique values by now: nothing that is left out would help.
    async fn has_been_taken(&mut self, new: &NewEntry) -> Result<bool, Error> {
        match self.with_unique(new).await {
            Ok(found) => Ok(found.is_some()),
            Err(Error::Write(Failure::Taken { .. } | Failure::Ambiguous { .. })) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn is_optional(&self, name: &str, new: &NewEntry) -> bool {
        let unique = new.unique.iter().map(|(name, _)| name.as_str());
        let mut needed = NEEDED.iter().copied().chain(unique).chain([new.rdn.as_str()]);
        !needed.any(|needed| self.session.schema.same(name, needed))
    }
}

fn is_of_one_attribute(refusal: &Refusal) -> bool {
    matches!(refusal.code, 16 | 17 | 19 | 20 | 21 | 34 | 65) && !refusal.is_password_policy()
}

/// The attribute that the server's words name. It is only a hint: the entry is tried without it.
fn named(names: &[String], words: &str) -> Option<String> {
    let words = words.to_ascii_lowercase();
    let mut words = words.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'));
    words.find_map(|word| names.iter().find(|name| name.eq_ignore_ascii_case(word)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_give_a_hint() {
        let names = ["mail", "badge-number", "title"].map(str::to_owned);
        assert_eq!(named(&names, "mail: value #0 invalid per syntax").as_deref(), Some("mail"));
        assert_eq!(named(&names, "attribute 'badge-Number' not allowed").as_deref(), Some("badge-number"));
        assert_eq!(named(&names, "mailbox is full"), None);
        assert_eq!(named(&names, ""), None);
    }
}

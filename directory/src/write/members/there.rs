//! Who is a member already. A few are asked about one by one; of many, the whole list is read.

use std::collections::HashSet;

use bytes::Bytes;

use super::group::{Group, Member};
use crate::error::{Error, Step};
use crate::failure::Failure;
use crate::filter;
use crate::range;
use crate::raw_entry::RawEntry;
use crate::write::work::Work;
use postern_dn::Dn;

/// With more, reading the whole list costs less.
const FEW: usize = 20;
const ANY: &str = "(objectClass=*)";

impl Work<'_> {
    /// Those of `members` that are still to be added or removed.
    pub(crate) async fn left(&mut self, group: &Group, members: &[Member], add: bool) -> Result<Vec<Member>, Error> {
        let mut left = Vec::new();
        if members.len() <= FEW {
            for member in members {
                if self.is_member(group, &member.value).await? != add {
                    left.push(member.clone());
                }
            }
            return Ok(left);
        }
        let there: HashSet<Vec<u8>> = self.list(group).await?.iter().map(|value| key(group, value)).collect();
        left.extend(members.iter().filter(|member| there.contains(&key(group, &member.value)) != add).cloned());
        Ok(left)
    }

    /// Whether a group lists this value.
    pub(crate) async fn is_member(&mut self, group: &Group, value: &Bytes) -> Result<bool, Error> {
        let condition = filter::equals(&group.attribute, value);
        let none = ["1.1".to_owned()];
        match self.session.connection.read_entry(&group.text, &condition, &none, Step::Search).await {
            Ok(found) => Ok(found.is_some()),
            Err(Error::Refused { code: 32, .. }) => Err(Failure::NotFound.into()),
            Err(error) => Err(error),
        }
    }

    /// All values by which a group lists its members.
    pub(crate) async fn list(&mut self, group: &Group) -> Result<Vec<Bytes>, Error> {
        let connection = &mut self.session.connection;
        let message =
            match connection.read_entry(&group.text, ANY, std::slice::from_ref(&group.attribute), Step::Search).await {
                Ok(message) => message.ok_or(Failure::NotFound)?,
                Err(Error::Refused { code: 32, .. }) => return Err(Failure::NotFound.into()),
                Err(error) => return Err(error),
            };
        let malformed = |source| Error::Malformed { step: Step::Search, source };
        let mut entry = RawEntry::parse(&message).map_err(|_| Failure::NotFound)?;
        let (mut values, mut next) = (Vec::new(), None);
        while let Some(attribute) = entry.next_attribute().map_err(malformed)? {
            let description = attribute.description();
            let base = range::base(description).unwrap_or(description);
            if base.eq_ignore_ascii_case(&group.attribute) {
                next = next.or(range::parse(description).and_then(|range| range.next));
                values.extend(attribute.values().map_err(malformed)?);
            }
        }
        if let Some(next) = next {
            range::read_rest(connection, &group.text, &group.attribute, next, &mut values).await?;
        }
        Ok(values)
    }
}

/// Equal for two values that mean the same member.
fn key(group: &Group, value: &Bytes) -> Vec<u8> {
    let dn = std::str::from_utf8(value).ok().filter(|_| group.by_dn).and_then(|text| Dn::parse(text).ok());
    dn.map_or_else(|| value.to_vec(), |dn| dn.case_folded().into_bytes())
}

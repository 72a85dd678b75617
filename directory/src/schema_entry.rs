//! Reads the entry in which a server keeps its schema.

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::range::{self, Ranged};
use crate::raw_entry::RawEntry;
use crate::schema::{AttributeType, parse};

const ATTRIBUTE_TYPES: &str = "attributeTypes";

/// Reads the attributes of the subschema entry; `None` where the server does not show it.
pub(crate) async fn read(connection: &mut Connection, dn: &str) -> Result<Option<Vec<AttributeType>>, Error> {
    let asked = [ATTRIBUTE_TYPES.to_owned()];
    let message = match connection.read_entry(dn, "(objectClass=*)", &asked, Step::Schema).await {
        Ok(Some(message)) => message,
        Ok(None) | Err(Error::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((mut values, next)) = values(&message) else { return Ok(None) };
    if let Some(next) = next {
        range::read_rest(connection, dn, ATTRIBUTE_TYPES, next, &mut values).await?;
    }
    let kinds: Vec<_> = values.iter().filter_map(|value| parse(std::str::from_utf8(value).ok()?)).collect();
    Ok((!kinds.is_empty()).then_some(kinds))
}

/// The values of `attributeTypes`, and where the next ones begin.
fn values(message: &Bytes) -> Option<(Vec<Bytes>, Option<u64>)> {
    let mut entry = RawEntry::parse(message).ok()?;
    while let Some(attribute) = entry.next_attribute().ok()? {
        let description = attribute.description();
        let next = match range::parse(description) {
            Some(Ranged { start: 0, next, .. }) => next,
            _ => None,
        };
        let name = range::base(description).unwrap_or(description);
        let values = attribute.values().ok()?;
        if name.eq_ignore_ascii_case(ATTRIBUTE_TYPES) && !values.is_empty() {
            return Some((values, next));
        }
    }
    None
}

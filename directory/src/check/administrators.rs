//! Whether an account of Active Directory is a member of a group that administers the domain.

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::kinds;
use crate::raw_entry::RawEntry;

const ANY: &str = "(objectClass=*)";
/// Domain Admins, Schema Admins and Enterprise Admins (MS-DTYP §2.4.2.4).
const OF_THE_DOMAIN: [u32; 3] = [512, 518, 519];
/// The built-in account of the administrator.
const ADMINISTRATOR: u32 = 500;
/// The built-in group Administrators, below `S-1-5-32`.
const ADMINISTRATORS: u32 = 544;
/// Groups that are looked at one by one, where the server does not list their SIDs.
const MOST_GROUPS: usize = 100;

/// Looks at all groups of the account, nested ones too (`tokenGroups`). A server that does not show them is asked for
/// those that name the account.
pub(super) async fn is_one(connection: &mut Connection, dn: &str) -> Result<bool, Error> {
    let own = values(connection, dn, "objectSid").await?;
    if own.iter().any(|value| matches!(kinds::sid(value), (false, Some(ADMINISTRATOR)))) {
        return Ok(true);
    }
    let groups = values(connection, dn, "tokenGroups").await?;
    if !groups.is_empty() {
        return Ok(groups.iter().any(|value| administers(value)));
    }
    let primary = values(connection, dn, "primaryGroupID").await?;
    let primary = primary.iter().filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok());
    if primary.into_iter().any(|rid: u32| OF_THE_DOMAIN.contains(&rid)) {
        return Ok(true);
    }
    for group in values(connection, dn, "memberOf").await?.iter().take(MOST_GROUPS) {
        let Ok(group) = std::str::from_utf8(group) else { continue };
        match values(connection, group, "objectSid").await {
            Ok(sids) if sids.iter().any(|value| administers(value)) => return Ok(true),
            // It may be of another domain, or not readable.
            Ok(_) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn administers(sid: &[u8]) -> bool {
    match kinds::sid(sid) {
        (true, rid) => rid == Some(ADMINISTRATORS),
        (false, rid) => rid.is_some_and(|rid| OF_THE_DOMAIN.contains(&rid)),
    }
}

/// The values of one attribute. It is asked for alone: `tokenGroups` is refused by some servers.
async fn values(connection: &mut Connection, dn: &str, attribute: &str) -> Result<Vec<Bytes>, Error> {
    let entry = connection.read_entry(dn, ANY, &[attribute.to_owned()], Step::Search).await?;
    let read = |message: Bytes| Some(RawEntry::parse(&message).ok()?.values_of(attribute).unwrap_or_default());
    Ok(entry.and_then(read).unwrap_or_default())
}

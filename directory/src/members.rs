//! Members that a group names otherwise than by their DN: those of a primary group, and `memberUid`.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::error::Error;
use crate::filter;
use crate::guard::is_reference;
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// Values of `memberUid` that are looked up at a time.
const UIDS: usize = 100;
const UIDS_PAGE: u32 = 100;
/// A group of more than this is larger than can be delivered, and is reported as such.
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// The DNs of the users that meet a condition, appended to `members`.
pub(crate) async fn by_condition(
    connection: &mut Connection,
    users: &Section<'_>,
    condition: &str,
    page_size: u32,
    members: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let mut bytes = 0;
    let nothing = ["1.1".to_owned()];
    each(connection, users, condition, (&nothing, page_size), |entry| {
        bytes += entry.dn().len();
        if bytes <= MOST_BYTES {
            members.push(Bytes::copy_from_slice(entry.dn().as_bytes()));
        }
    })
    .await
}

/// The DNs of the users whom `memberUid` names, appended to `members`; a name that is nobody's stays as it is. Compared
/// exactly, as RFC 2307 has it, with any value of `uid`.
pub(crate) async fn by_uid(
    connection: &mut Connection,
    users: &Section<'_>,
    uids: &[Bytes],
    members: &mut Vec<Bytes>,
) -> Result<(), Error> {
    let uid = ["uid".to_owned()];
    for some in uids.chunks(UIDS) {
        let wanted: HashSet<&[u8]> = some.iter().map(AsRef::as_ref).collect();
        let condition: String = some.iter().map(|uid| filter::equals("uid", uid)).collect();
        let mut found: HashMap<Bytes, Bytes> = HashMap::new();
        each(connection, users, &format!("(|{condition})"), (&uid, UIDS_PAGE), |entry| {
            let values = entry.values_of("uid").unwrap_or_default();
            for value in values.into_iter().filter(|value| wanted.contains(value.as_ref())) {
                found.insert(value, Bytes::copy_from_slice(entry.dn().as_bytes()));
            }
        })
        .await?;
        members.extend(some.iter().map(|uid| found.get(uid).unwrap_or(uid).clone()));
    }
    Ok(())
}

/// Looks at each user of a section that meets the condition.
async fn each(
    connection: &mut Connection,
    users: &Section<'_>,
    condition: &str,
    (attributes, page_size): (&[String], u32),
    mut look: impl FnMut(&RawEntry<'_>),
) -> Result<(), Error> {
    let filter = filter::and(&users.filter, condition);
    let never = CancellationToken::new();
    for base_dn in users.base_dns {
        let query = Query { base_dn, scope: users.scope, filter: &filter, attributes, page_size };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in batch.iter().filter(|message| !is_reference(message)) {
                if let Ok(entry) = RawEntry::parse(message) {
                    look(&entry);
                }
            }
        }
    }
    Ok(())
}

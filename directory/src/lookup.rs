//! One user by the unique attribute, with all configured attributes and groups: "Test attribute mapping".

use tokio_util::sync::CancellationToken;

use crate::config::MemberForm;
use crate::connection::{Connection, Servers};
use crate::error::Error;
use crate::filter;
use crate::guard::is_reference;
use crate::record::Record;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// More groups than this are not listed for one user.
const MAX_GROUPS: usize = 1_000;

/// A user as an import would see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookedUp {
    /// The user.
    pub user: Record,
    /// The groups that list the user as a member; without their members.
    pub groups: Vec<Record>,
}

pub(crate) async fn lookup_user(servers: &Servers, unique_value: &str) -> Result<LookedUp, Error> {
    let config = &servers.config;
    let mut connection = servers.open().await?;
    let flavour = connection.root_dse().await?.flavour();
    let own = filter::equals(&config.users.unique_attribute, unique_value.as_bytes());
    let mut found = search(&mut connection, &Section::users(config, flavour), &own, 2).await?;
    let user = match (found.pop(), found.is_empty()) {
        (Some(user), true) => user,
        (Some(_), false) => return Err(Error::Ambiguous),
        (None, _) => return Err(Error::NotFound),
    };
    let groups = match (Section::groups(config, flavour, false), &config.groups) {
        (Some(section), Some(groups)) => {
            let member = match config.member_form() {
                MemberForm::Dn => user.dn.as_str(),
                MemberForm::UniqueValue => unique_value,
            };
            let listed = filter::equals(&groups.member_attribute, member.as_bytes());
            search(&mut connection, &section, &listed, MAX_GROUPS).await?
        }
        _ => Vec::new(),
    };
    Ok(LookedUp { user, groups })
}

async fn search(
    connection: &mut Connection,
    section: &Section<'_>,
    condition: &str,
    limit: usize,
) -> Result<Vec<Record>, Error> {
    let filter = filter::and(&section.filter, condition);
    let never = CancellationToken::new();
    let mut records = Vec::new();
    let mut scratch = Vec::new();
    for base_dn in section.base_dns {
        let query = Query {
            base_dn,
            scope: section.scope,
            filter: &filter,
            attributes: section.selection.requested(),
            page_size: 100,
        };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in batch.iter().filter(|message| !is_reference(message)) {
                if records.len() >= limit {
                    continue;
                }
                match section.selection.select(message, &mut scratch) {
                    Ok(selected) => records.push(selected.record),
                    Err(unusable) => return Err(Error::Unusable { reason: unusable.reason }),
                }
            }
        }
    }
    Ok(records)
}

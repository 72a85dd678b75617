//! One user by the unique attribute, with all configured attributes and groups: "Test attribute mapping".

use tokio_util::sync::CancellationToken;

use crate::config::{DirectoryConfig, MemberForm};
use crate::connection::{Connection, Servers};
use crate::error::{Error, Phase};
use crate::filter;
use crate::guard::is_reference;
use crate::judge::Judge;
use crate::record::{Record, Selected, Unusable};
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// More groups than this are not listed for one user.
const MAX_GROUPS: usize = 1_000;

/// A user as an import would see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookedUp {
    /// The user.
    pub user: Record,
    /// The groups that list the user as a member, the first 1,000 of them; without their members.
    pub groups: Vec<Record>,
    /// Groups that list the user and that an import would report instead of importing them.
    pub unusable_groups: Vec<Unusable>,
    /// Whether there are more groups than these. The log says so too, for an answer to the control plane has no place
    /// for it.
    pub more_groups: bool,
}

/// What a search found, up to its limit.
#[derive(Debug, Default)]
struct Found {
    records: Vec<Record>,
    unusable: Vec<Unusable>,
    more: bool,
}

pub(crate) async fn lookup_user(servers: &Servers, unique_value: &str) -> Result<LookedUp, Error> {
    let mut question = servers.question();
    loop {
        let mut connection = servers.open().await?;
        match ask(&mut connection, servers, unique_value).await {
            Err(error) if question.is_worth_repeating(&connection, &error) => {}
            answer => return answer,
        }
    }
}

async fn ask(connection: &mut Connection, servers: &Servers, unique_value: &str) -> Result<LookedUp, Error> {
    let config = &servers.config;
    let root = connection.root_dse().await?;
    let flavour = root.flavour();
    let names = servers.names(connection, &root).await?;
    let own = filter::equals(&config.users.unique_attribute, unique_value.as_bytes());
    let mut judge = Judge::new(config, flavour);
    let user = one(search(connection, &mut judge, &Section::users(config, flavour, &names), &own, 2).await?)?;
    let groups = match (Section::groups(config, flavour, &names, false), listed(config, &user)) {
        (Some(section), Some(listed)) => search(connection, &mut judge, &section, &listed, MAX_GROUPS).await?,
        _ => Found::default(),
    };
    if groups.more || !groups.unusable.is_empty() {
        tracing::warn!(
            directory = %config.name,
            groups = groups.records.len(),
            unusable = groups.unusable.len(),
            more = groups.more,
            "directory.lookup.incomplete: the user has groups that the answer does not list"
        );
    }
    Ok(LookedUp { user, groups: groups.records, unusable_groups: groups.unusable, more_groups: groups.more })
}

fn one(mut found: Found) -> Result<Record, Error> {
    match (found.records.pop(), found.unusable.pop()) {
        (Some(user), None) if found.records.is_empty() => Ok(user),
        (Some(_), _) => Err(Error::Ambiguous),
        (None, Some(unusable)) => Err(Error::Unusable { reason: unusable.reason }),
        (None, None) => Err(Error::NotFound),
    }
}

/// The condition that a group lists the user, as an import matches them: `memberUid` is compared exactly (RFC 2307
/// §2.3), so that it takes the entry's own value and not what somebody typed.
fn listed(config: &DirectoryConfig, user: &Record) -> Option<String> {
    let groups = config.groups.as_ref()?;
    let member = match config.member_form() {
        MemberForm::Dn => user.dn.as_str(),
        MemberForm::UniqueValue => user.unique_value.as_deref()?,
    };
    Some(filter::equals(&groups.member_attribute, member.as_bytes()))
}

async fn search(
    connection: &mut Connection,
    judge: &mut Judge,
    section: &Section<'_>,
    condition: &str,
    limit: usize,
) -> Result<Found, Error> {
    let filter = filter::and(&section.filter, condition);
    let never = CancellationToken::new();
    let mut selected: Vec<Selected> = Vec::new();
    let mut found = Found::default();
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
                if selected.len() + found.unusable.len() >= limit {
                    found.more = true;
                    continue;
                }
                match section.selection.select(message, &mut scratch) {
                    Ok(entry) => selected.push(entry),
                    Err(unusable) => found.unusable.push(unusable),
                }
            }
        }
    }
    // Only now: a search in between would end the paged one on some servers.
    for mut entry in selected {
        if section.phase == Phase::Users {
            judge.decide(connection, &mut entry).await?;
        }
        found.records.push(entry.complete(connection).await?.0);
    }
    Ok(found)
}

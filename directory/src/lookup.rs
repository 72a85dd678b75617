//! One user by any login or by DN, with all configured attributes and groups: "Test attribute mapping".

mod logins;

use bytes::Bytes;
use postern_dn::Dn;
use tokio_util::sync::CancellationToken;

use crate::config::{MemberForm, Scope};
use crate::connection::{Connection, Servers};
use crate::entry::{Entry, Naming, Selected, Unusable};
use crate::error::{Error, Phase, Step};
use crate::filter;
use crate::flavour::{Flavour, Switch};
use crate::guard::is_reference;
use crate::judge::Judge;
use crate::kinds;
use crate::raw_entry::RawEntry;
use crate::search::{PagedSearch, Query};
use crate::sections::{self, Section};

/// More groups than this are not listed for one user.
const MAX_GROUPS: usize = 1_000;

/// A user as an import would see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookedUp {
    /// The user.
    pub user: Entry,
    /// The groups that list the user as a member, the first 1,000 of them; without their members.
    pub groups: Vec<Entry>,
    /// Groups that list the user and that an import would report instead of importing them.
    pub unusable_groups: Vec<Unusable>,
    /// Whether there are more groups than these. The log says so too, for an answer to the control plane has no place
    /// for it.
    pub more_groups: bool,
}

/// What a search found, up to its limit.
#[derive(Debug, Default)]
struct Found {
    entries: Vec<Entry>,
    unusable: Vec<Unusable>,
    more: bool,
}

pub(crate) async fn lookup_user(servers: &Servers, typed: &str) -> Result<LookedUp, Error> {
    let mut question = servers.question();
    loop {
        let mut connection = servers.open().await?;
        match ask(&mut connection, servers, typed).await {
            Err(error) if question.is_worth_repeating(&connection, &error) => {}
            answer => return answer,
        }
    }
}

async fn ask(connection: &mut Connection, servers: &Servers, typed: &str) -> Result<LookedUp, Error> {
    let config = servers.config();
    let root = connection.root_dse().await?;
    let flavour = root.flavour();
    let names = servers.names(connection, &root).await?;
    let mut judge = Judge::new(config, flavour, &names);
    let section = Section::users(config, flavour, &names);
    let conditions = logins::conditions(&config.users.unique_attribute, flavour, typed, |name| names.stays(name));
    let user = find(connection, &mut judge, &section, &conditions, typed).await?;
    let groups = match Section::groups(config, flavour, &names, false) {
        Some(section) => {
            let listing = sections::member_attributes(config, flavour, &names);
            let listed = listed(connection, &listing, &user, config.member_form()).await?;
            let primary = primary_group(connection, flavour, &user).await?;
            let conditions: String = listed.into_iter().chain(primary).collect();
            let either = Some(format!("(|{conditions})")).filter(|_| !conditions.is_empty());
            match either {
                Some(listed) => search(connection, &mut judge, &section, &listed, MAX_GROUPS).await?,
                None => Found::default(),
            }
        }
        None => Found { entries: named_groups(&user), ..Found::default() },
    };
    if groups.more || !groups.unusable.is_empty() {
        tracing::warn!(
            directory = %config.name,
            groups = groups.entries.len(),
            unusable = groups.unusable.len(),
            more = groups.more,
            "directory.lookup.incomplete: the user has groups that the answer does not list"
        );
    }
    Ok(LookedUp { user, groups: groups.entries, unusable_groups: groups.unusable, more_groups: groups.more })
}

/// The groups that the user's own entry names, if users name their groups.
fn named_groups(user: &Entry) -> Vec<Entry> {
    let group = |value: &Bytes| {
        let text = String::from_utf8_lossy(value).into_owned();
        let name = Dn::parse(&text).ok().and_then(|dn| dn.rdns().first()?.name());
        let name = Bytes::from(name.unwrap_or_else(|| text.clone()));
        Entry {
            external_id: String::new(),
            dn: text,
            unique_value: None,
            attributes: vec![("cn".into(), vec![name])],
            members: Vec::new(),
            switch: Switch::Unknown,
        }
    };
    user.members.iter().take(MAX_GROUPS).map(group).collect()
}

/// The user that was meant: what the unique attribute says comes before every other login.
async fn find(
    connection: &mut Connection,
    judge: &mut Judge,
    section: &Section<'_>,
    conditions: &[String],
    typed: &str,
) -> Result<Entry, Error> {
    for condition in conditions {
        match one(search(connection, judge, section, condition, 2).await?) {
            Err(Error::NotFound) => {}
            answer => return answer,
        }
    }
    match logins::dn(typed) {
        Some(dn) if section.holds(&dn) => {
            let entry = [typed.to_owned()];
            match search_in(connection, judge, (section, &entry, Scope::Base), "(objectClass=*)", 2).await {
                // noSuchObject, invalidDNSyntax
                Err(Error::Refused { code: 32 | 34, .. }) => Err(Error::NotFound),
                found => one(found?),
            }
        }
        _ => Err(Error::NotFound),
    }
}

/// How many entries of a section meet the condition, counted up to the limit.
pub(crate) async fn count(
    connection: &mut Connection,
    judge: &mut Judge,
    section: &Section<'_>,
    condition: &str,
    limit: usize,
) -> Result<usize, Error> {
    let found = search(connection, judge, section, condition, limit).await?;
    Ok(found.entries.len() + found.unusable.len())
}

fn one(mut found: Found) -> Result<Entry, Error> {
    match (found.entries.pop(), found.unusable.pop()) {
        (Some(user), None) if found.entries.is_empty() => Ok(user),
        (Some(_), _) => Err(Error::Ambiguous),
        (None, Some(unusable)) => Err(Error::Unusable { reason: unusable.reason }),
        (None, None) => Err(Error::NotFound),
    }
}

/// The conditions that a group lists the user, one of which must hold, as an import matches them: `memberUid` is compared exactly (RFC 2307
/// §2.3), so that it takes the entry's own value and not what somebody typed.
async fn listed(
    connection: &mut Connection,
    listing: &[(&str, Naming)],
    user: &Entry,
    form: MemberForm,
) -> Result<Option<String>, Error> {
    let mut conditions = String::new();
    for (attribute, naming) in listing {
        match naming {
            Naming::Unread => {}
            Naming::Kept if form == MemberForm::Dn => conditions += &filter::equals(attribute, user.dn.as_bytes()),
            Naming::Kept => {
                let value = user.unique_value.as_deref();
                conditions.extend(value.map(|value| filter::equals(attribute, value.as_bytes())));
            }
            Naming::ByUid => {
                let uid = ["uid".to_owned()];
                let entry = connection.read_entry(&user.dn, "(objectClass=*)", &uid, Step::Search).await?;
                let uids =
                    entry.and_then(|entry| RawEntry::parse(&entry).ok()?.values_of("uid").ok()).unwrap_or_default();
                conditions.extend(uids.iter().map(|uid| filter::equals(attribute, uid)));
            }
        }
    }
    Ok((!conditions.is_empty()).then_some(conditions))
}

/// The condition that a group is the user's primary one, which lists its members nowhere.
async fn primary_group(connection: &mut Connection, flavour: Flavour, user: &Entry) -> Result<Option<String>, Error> {
    if flavour != Flavour::ActiveDirectory {
        return Ok(None);
    }
    let attributes = ["objectSid".to_owned(), "primaryGroupID".to_owned()];
    let entry = connection.read_entry(&user.dn, "(objectClass=*)", &attributes, Step::Search).await?;
    Ok(entry.and_then(|message| kinds::primary_group_of(&RawEntry::parse(&message).ok()?)))
}

async fn search(
    connection: &mut Connection,
    judge: &mut Judge,
    section: &Section<'_>,
    condition: &str,
    limit: usize,
) -> Result<Found, Error> {
    search_in(connection, judge, (section, section.base_dns, section.scope), condition, limit).await
}

async fn search_in(
    connection: &mut Connection,
    judge: &mut Judge,
    (section, base_dns, scope): (&Section<'_>, &[String], Scope),
    condition: &str,
    limit: usize,
) -> Result<Found, Error> {
    let filter = filter::and(&section.filter, condition);
    let never = CancellationToken::new();
    let mut selected: Vec<Selected> = Vec::new();
    let mut found = Found::default();
    let mut scratch = Vec::new();
    for base_dn in base_dns {
        let query = Query { base_dn, scope, filter: &filter, attributes: &section.requested, page_size: 100 };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in batch.iter().filter(|message| !is_reference(message)) {
                if selected.len() + found.unusable.len() >= limit {
                    found.more = true;
                    continue;
                }
                match section.selection.select(message, &mut scratch) {
                    Ok(entry) if kinds::is_conflict(&entry.entry.dn) => {}
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
        entry.complete(connection).await?;
        found.entries.push(entry.entry);
    }
    Ok(found)
}

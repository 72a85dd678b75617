//! Finds the thing that a path or a request names. People use an id, the beginning of an id, or a name; programs use
//! ids. A name with several matches is refused with all of them, one without a match with similar names. Nothing of
//! another organization is ever found.

use postern_proto::directory_name;
use postern_runtime::nearest;
use postern_runtime::plain::quoted;
use postern_store::Thing;
use uuid::Uuid;

use super::access::Access;
use super::error::{Candidate, Error, Message, Result};
use crate::records::{
    Account, AccountId, AgentId, ApiTokenId, DirectoryId, EnrollmentTokenId, GroupId, JobId, Named, PageRequest,
    ScheduleId, UserId,
};

/// The shortest beginning of an id.
const LEAST: usize = 4;
/// The same for things that imports create by the thousand: the digits of an id that contain the millisecond of its
/// creation. A shorter beginning would match more than a request may read.
const LEAST_OF_MANY: usize = 12;
const ID_LETTERS: usize = 32;
/// No name is longer.
const MAX_NAME_BYTES: usize = 4_096;
/// Users or groups that are compared to find a similar name.
const LIKE: u32 = 50;

macro_rules! things {
    ($($(#[$doc:meta])* $name:ident: $id:ident, $thing:ident;)+) => {$(
        $(#[$doc])*
        pub(super) async fn $name(access: Access<'_>, text: &str) -> Result<$id> {
            find(access, Thing::$thing, text).await.map($id::from_uuid)
        }
    )+};
}

things! {
    /// The agent with this name.
    agent: AgentId, Agent;
    /// The directory with this name or display name.
    directory: DirectoryId, Directory;
    /// The API token with this name.
    api_token: ApiTokenId, ApiToken;
    /// The enrollment token with this beginning of an id.
    enrollment_token: EnrollmentTokenId, EnrollmentToken;
    /// The job with this beginning of an id.
    job: JobId, Job;
    /// The schedule with this name.
    schedule: ScheduleId, Schedule;
    /// The user with this user name, display name or e-mail address.
    user: UserId, User;
    /// The group with this name.
    group: GroupId, Group;
    /// The account with this external id, or of the user with this user name.
    account: AccountId, Account;
}

/// The account with exactly this id, or the only one with a conflict about this user name. Nothing else, because a
/// decision about a person cannot be undone.
pub(super) async fn conflict(access: Access<'_>, text: &str) -> Result<AccountId> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(AccountId::from_uuid(id));
    }
    let claim = access.store().accounts_in_conflict(access.organization(), text).await?;
    let id = one("account", text, claim, None)?.ok_or_else(|| {
        let message = Message::new(format!("There is no conflict about {}.", quoted(text)));
        Error::NotFound(message.cure("`postern conflicts list` shows those that there are."))
    })?;
    Ok(AccountId::from_uuid(id))
}

/// The name of the directory that this text means, or the text itself, because a directory may be named before an agent
/// announces it. `field` is the request's field, for errors.
pub(super) async fn directory_name(access: Access<'_>, field: &str, text: &str) -> Result<String> {
    let by_id = match Uuid::try_parse(text.trim()) {
        Ok(id) => access.store().with_ids(access.organization(), Thing::Directory, (id, id)).await?,
        Err(_) => Vec::new(),
    };
    let mut found = if by_id.is_empty() {
        access.store().with_name(access.organization(), Thing::Directory, text).await?
    } else {
        by_id
    };
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one.name),
        (0, _) if directory_name::is_valid(text) => Ok(text.to_owned()),
        (0, _) => {
            let detail = format!("{} is not the name of a directory: {}", quoted(text), directory_name::RULE);
            Err(Error::field(field, detail))
        }
        (_, last) => Err(several("directory", text, found.into_iter().chain(last).collect())),
    }
}

async fn find(access: Access<'_>, thing: Thing, text: &str) -> Result<Uuid> {
    let text = text.trim();
    let what = word(thing);
    let id = Uuid::try_parse(text).ok();
    if let Some(id) = id {
        // An external id may look like one of our ids.
        let known = thing != Thing::Account
            || !access.store().with_ids(access.organization(), thing, (id, id)).await?.is_empty();
        if known {
            return Ok(id);
        }
    }
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        return Err(Error::no(what));
    }
    let by_name = named(access, thing, text).await?;
    let by_id = match range(text, thing) {
        Some(range) => access.store().with_ids(access.organization(), thing, range).await?,
        None => Vec::new(),
    };
    // An agent chooses a directory's name, an administrator its display name: neither takes precedence.
    let exact = (thing != Thing::Directory).then_some(text);
    match either(what, text, exact, by_name, by_id) {
        Ok(Some(id)) => return Ok(id),
        Ok(None) => {}
        Err(error) if thing == Thing::Group => return Err(with_directories(access, error).await?),
        Err(error) => return Err(error),
    }
    let like = like(access, thing, text).await?;
    Err(nothing(what, text, &like, is_short_id(text, thing).then(|| least(thing))))
}

async fn named(access: Access<'_>, thing: Thing, text: &str) -> Result<Vec<Named>> {
    let found = access.store().with_name(access.organization(), thing, text).await?;
    if thing != Thing::Account || !found.is_empty() {
        return Ok(found);
    }
    let Some(user) = access.store().find_user(access.organization(), text).await? else { return Ok(found) };
    let accounts = access.store().accounts_of(access.organization(), user.id.as_uuid()).await?;
    let named =
        |account: Account| Named { id: account.id.as_uuid(), name: account.dn, live: account.missing_since.is_none() };
    Ok(accounts.into_iter().map(named).collect())
}

/// The thing that matches by name or by the beginning of an id. Someone who chooses a name can choose the beginning of
/// another thing's id: if the two differ, neither is taken.
fn either(what: &str, text: &str, exact: Option<&str>, by_name: Vec<Named>, by_id: Vec<Named>) -> Result<Option<Uuid>> {
    if by_name.is_empty() {
        return one(what, text, by_id, None);
    }
    if by_id.is_empty() {
        return one(what, text, by_name, exact);
    }
    if let (Some(name), Some(id)) = (only(&by_name, exact), only(&by_id, None))
        && name == id
    {
        return Ok(Some(id));
    }
    let mut all = by_name;
    all.extend(by_id);
    all.sort_by_key(|named| named.id);
    all.dedup_by_key(|named| named.id);
    Err(several(what, text, all))
}

/// The only match. Several are refused.
fn one(what: &str, text: &str, found: Vec<Named>, exact: Option<&str>) -> Result<Option<Uuid>> {
    match only(&found, exact) {
        Some(id) => Ok(Some(id)),
        None if found.is_empty() => Ok(None),
        None => Err(several(what, text, found)),
    }
}

/// Of several, the one with exactly this name, where that counts, or the only one in use.
fn only(found: &[Named], exact: Option<&str>) -> Option<Uuid> {
    let only = |fits: &dyn Fn(&Named) -> bool| {
        let mut fitting = found.iter().filter(|named| fits(named));
        fitting.next().filter(|_| fitting.next().is_none()).map(|named| named.id)
    };
    let named = exact.and_then(|text| only(&|named| named.name == text && named.live));
    named.or_else(|| only(&|named| named.live)).or_else(|| only(&|_| true))
}

/// Groups of one name differ by the directories that have them.
async fn with_directories(access: Access<'_>, error: Error) -> Result<Error> {
    let Error::Ambiguous { message, mut candidates } = error else { return Ok(error) };
    let ids: Vec<GroupId> = candidates.iter().map(|group| GroupId::from_uuid(group.id)).collect();
    let directories = access.store().directories_of_groups(access.organization(), &ids).await?;
    for group in &mut candidates {
        let of = directories.get(&GroupId::from_uuid(group.id)).map(|names| names.join(", "));
        group.name = format!("{} ({})", group.name, of.as_deref().unwrap_or("of no directory"));
    }
    Ok(Error::Ambiguous { message, candidates })
}

fn several(what: &str, text: &str, found: Vec<Named>) -> Error {
    let candidate = |named: Named| Candidate { id: named.id, name: named.name };
    Error::Ambiguous {
        message: Message::new(format!("Several {} match {}.", plural(what), quoted(text))).cure("Give the id of one:"),
        candidates: found.into_iter().map(candidate).collect(),
    }
}

/// `least`: the text looks like the beginning of an id, which needs this many digits.
fn nothing(what: &str, text: &str, like: &[String], least: Option<usize>) -> Error {
    let list = plural(what).replace(' ', "-");
    let all = format!("`postern {list} list` shows them.");
    let more = if what == "directory" { " A directory appears when an agent that serves it connects." } else { "" };
    let cure = match like {
        [] => format!("{all}{more}"),
        names => format!("Did you mean {}? {all}{more}", names.join(" or ")),
    };
    let short = least.map_or_else(String::new, |least| {
        format!("The beginning of the id of a {what} needs at least {least} letters. ")
    });
    Error::NotFound(Message::new(format!("There is no {what} {}.", quoted(text))).cure(format!("{short}{cure}")))
}

fn plural(what: &str) -> String {
    if what == "directory" { "directories".to_owned() } else { format!("{what}s") }
}

/// What people and commands call it.
const fn word(thing: Thing) -> &'static str {
    match thing {
        Thing::Agent => "agent",
        Thing::Directory => "directory",
        Thing::ApiToken => "token",
        Thing::EnrollmentToken => "enrollment token",
        Thing::Job => "job",
        Thing::Schedule => "schedule",
        Thing::User => "user",
        Thing::Group => "group",
        Thing::Account => "account",
    }
}

/// How many digits of an id are enough.
const fn least(thing: Thing) -> usize {
    match thing {
        Thing::User | Thing::Group | Thing::Account => LEAST_OF_MANY,
        _ => LEAST,
    }
}

/// Whether this may be a beginning of an id that is too short for its kind.
fn is_short_id(text: &str, thing: Thing) -> bool {
    let letters = text.bytes().filter(|letter| *letter != b'-').count();
    let hex = text.bytes().all(|letter| letter == b'-' || letter.is_ascii_hexdigit());
    hex && (LEAST..least(thing)).contains(&letters)
}

/// The first and the last id with this beginning.
pub(super) fn range(text: &str, thing: Thing) -> Option<(Uuid, Uuid)> {
    let letters: String = text.chars().filter(|letter| *letter != '-').collect();
    if !(least(thing)..ID_LETTERS).contains(&letters.len()) || !letters.bytes().all(|letter| letter.is_ascii_hexdigit())
    {
        return None;
    }
    let filled = |with: &str| Uuid::try_parse(&format!("{letters}{}", with.repeat(ID_LETTERS - letters.len()))).ok();
    Some((filled("0")?, filled("f")?))
}

/// Names similar to one that does not exist.
async fn like(access: Access<'_>, thing: Thing, text: &str) -> Result<Vec<String>> {
    let names = match thing {
        Thing::User | Thing::Group => begin_alike(access, thing, text).await?,
        _ => access.store().names(access.organization(), thing).await?,
    };
    Ok(nearest::several(text, names.iter().map(String::as_str)).into_iter().map(str::to_owned).collect())
}

/// The first names with the same three, two or one letters at the beginning.
async fn begin_alike(access: Access<'_>, thing: Thing, text: &str) -> Result<Vec<String>> {
    let (mut names, page) = (Vec::new(), PageRequest::first(LIKE));
    let letters = text.chars().count();
    for length in [letters, letters.saturating_sub(1), letters / 2, 3, 1] {
        let beginning: String = text.chars().take(length.max(1)).collect();
        if thing == Thing::User {
            let users = access.store().list_users(access.organization(), Some(&beginning), &page).await?;
            names.extend(users.items.into_iter().map(|user| user.user_name));
        } else {
            let groups = access.store().list_groups(access.organization(), Some(&beginning), &page).await?;
            names.extend(groups.items.into_iter().map(|group| group.display_name));
        }
        if !nearest::several(text, names.iter().map(String::as_str)).is_empty() {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(error: &Error) -> usize {
        match error {
            Error::Ambiguous { candidates, .. } => candidates.len(),
            other => panic!("{other}"),
        }
    }

    fn named(id: u128, name: &str, live: bool) -> Named {
        Named { id: Uuid::from_u128(id), name: name.to_owned(), live }
    }

    #[test]
    fn a_name_means_one_thing_or_is_refused_with_all_that_it_could_mean() {
        let meant = |found: Vec<Named>| one("agent", "site", found, Some("site")).unwrap().map(|id| id.as_u128());
        assert_eq!(meant(vec![]), None);
        assert_eq!(meant(vec![named(1, "site", false)]), Some(1));
        assert_eq!(meant(vec![named(1, "site", false), named(2, "site", true), named(3, "site", false)]), Some(2));
        assert_eq!(meant(vec![named(1, "other", true), named(2, "site", true)]), Some(2));
        for live in [true, false] {
            let both = vec![named(1, "site", live), named(2, "site", live)];
            assert_eq!(candidates(&one("agent", "site", both, Some("site")).unwrap_err()), 2);
        }
    }

    #[test]
    fn a_name_that_looks_like_the_beginning_of_an_id_wins_over_no_id() {
        let meant = |by_name: Vec<Named>, by_id: Vec<Named>| either("agent", "0193", Some("0193"), by_name, by_id);
        let (site, other) = (|| named(1, "site", true), || named(2, "0193", true));
        assert_eq!(meant(vec![other()], vec![]).unwrap(), Some(Uuid::from_u128(2)));
        assert_eq!(meant(vec![other()], vec![other()]).unwrap(), Some(Uuid::from_u128(2)));
        // The second case: the id of the thing with this name also begins with it.
        for by_id in [vec![site()], vec![site(), other()], vec![named(1, "site", false)]] {
            assert_eq!(candidates(&meant(vec![other()], by_id).unwrap_err()), 2);
        }
    }

    #[test]
    fn the_beginning_of_an_id_is_a_range_of_ids() {
        let ends = |text: &str, thing| range(text, thing).map(|(first, last)| (first.to_string(), last.to_string()));
        let (first, last) = ends("0193541c-00", Thing::Job).unwrap();
        assert_eq!(first, "0193541c-0000-0000-0000-000000000000");
        assert_eq!(last, "0193541c-00ff-ffff-ffff-ffffffffffff");
        assert_eq!(ends("019", Thing::Job), None, "too short");
        assert_eq!(ends("0193x", Thing::Job), None, "no id");
        assert_eq!(ends("0193541c000", Thing::User), None, "too short where there are many");
        assert!(ends("0193541c0000", Thing::User).is_some());
        assert_eq!(ends("", Thing::Job), None);
    }
}

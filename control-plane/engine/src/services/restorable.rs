//! Finds a deleted user or group that somebody names: by its id, the beginning of its id, or its name.

use jiff::Timestamp;
use postern_runtime::plain::quoted;
use postern_store::{DeletedGroup, DeletedUser, Thing};
use uuid::Uuid;

use super::access::Access;
use super::error::{Candidate, Error, Message, Result};
use super::resolve;

/// The deleted user.
pub(super) async fn user(access: Access<'_>, text: &str) -> Result<DeletedUser> {
    let ids = ids(text, Thing::User);
    let mut found = access.store().deleted_users_like(access.organization(), text.trim(), ids).await?;
    let all = found.iter().map(|user| candidate(user.id.as_uuid(), &user.user_name, user.deleted_at));
    only("users", text, all.collect())?;
    Ok(found.remove(0))
}

/// The deleted group.
pub(super) async fn group(access: Access<'_>, text: &str) -> Result<DeletedGroup> {
    let ids = ids(text, Thing::Group);
    let mut found = access.store().deleted_groups_like(access.organization(), text.trim(), ids).await?;
    let all = found.iter().map(|group| candidate(group.id.as_uuid(), &group.display_name, group.deleted_at));
    only("groups", text, all.collect())?;
    Ok(found.remove(0))
}

/// The ids that the text may mean.
fn ids(text: &str, thing: Thing) -> (Uuid, Uuid) {
    let whole = Uuid::try_parse(text.trim()).ok().map(|id| (id, id));
    whole.or_else(|| resolve::range(text.trim(), thing)).unwrap_or((Uuid::nil(), Uuid::nil()))
}

fn candidate(id: Uuid, name: &str, deleted_at: Timestamp) -> Candidate {
    Candidate { id, name: format!("{name}, deleted at {}", deleted_at.strftime("%Y-%m-%d %H:%M:%SZ")) }
}

/// Refuses a text that does not mean exactly one.
fn only(what: &str, text: &str, found: Vec<Candidate>) -> Result<()> {
    match found.first() {
        Some(_) if found.len() == 1 => Ok(()),
        Some(_) => {
            let message = Message::new(format!("Several deleted {what} match {}.", quoted(text)));
            Err(Error::Ambiguous { message: message.cure("Give the id of one:"), candidates: found })
        }
        None => {
            let message = Message::new(format!("No deleted {} is {}.", what.trim_end_matches('s'), quoted(text)));
            Err(Error::NotFound(message.cure(format!("`postern {what} deleted` shows those that there are."))))
        }
    }
}

//! Whether it can be read who is let in. Unknown is not active: where it cannot, an import makes nobody active.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{CheckState, Diagnosis, Finding};
use crate::connection::{Connection, Servers};
use crate::entry::Selected;
use crate::error::Error;
use crate::flavour::{Flavour, Switch};
use crate::guard::is_reference;
use crate::judge::{self, Judge};
use crate::names::Names;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// How many users to look at.
const SAMPLE: usize = 100;

/// Of the users that were looked at.
#[derive(Default)]
struct Seen {
    on: usize,
    off: usize,
    unknown: usize,
    /// The attribute for whose sake the first of them is unknown.
    unreadable: Option<&'static str>,
    /// The DN of that one.
    example: String,
    /// There may be more users than were looked at.
    more: bool,
}

impl Diagnosis<'_> {
    pub(super) async fn switches(&mut self, servers: &Servers, flavour: Flavour, names: &Arc<Names>) -> Option<()> {
        // The sample of users may have left its search in the middle.
        let connection = servers.open().await;
        let connection = self.need("switches", connection)?;
        let section = Section::users(self.config, flavour, names);
        let judge = Judge::new(self.config, flavour, names);
        let seen = see(servers, connection, &section, judge).await;
        let seen = self.need("switches", seen)?;
        self.note("switches", finding(&seen));
        Some(())
    }
}

async fn see(
    servers: &Servers,
    mut connection: Connection,
    section: &Section<'_>,
    mut judge: Judge,
) -> Result<Seen, Error> {
    let (users, more) = sample(&mut connection, section).await?;
    let mut seen = Seen { more, ..Seen::default() };
    // A page that was left in its middle spends the connection.
    if !connection.is_fresh() {
        connection = servers.open().await?;
    }
    let now = judge::now();
    for mut user in users {
        judge.decide(&mut connection, &mut user).await?;
        seen.count(&user, now);
    }
    Ok(seen)
}

impl Seen {
    /// `now` in seconds since 1970.
    fn count(&mut self, user: &Selected, now: i64) {
        match user.entry.switch {
            Switch::OnUntil(end) if end <= now => self.off += 1,
            Switch::On | Switch::OnUntil(_) => self.on += 1,
            Switch::Off => self.off += 1,
            Switch::Unknown => {
                self.unknown += 1;
                if self.unreadable.is_none() {
                    self.unreadable = user.unreadable;
                    self.example.clone_from(&user.entry.dn);
                }
            }
        }
    }
}

fn finding(seen: &Seen) -> Finding {
    let total = seen.on + seen.off + seen.unknown;
    let users = if total == 1 { "user" } else { "users" };
    let looked_at = if seen.more { format!("a sample of {total} {users}") } else { format!("{total} {users}") };
    if seen.unknown == 0 {
        return Finding::passed(format!("of {looked_at}, {} enabled and {} disabled", seen.on, seen.off));
    }
    let state = if seen.unknown == total { CheckState::Failed } else { CheckState::Warned };
    let attribute = seen.unreadable.unwrap_or("the switch");
    let said = format!(
        "of {looked_at}, {} are neither known to be enabled nor disabled: {attribute} cannot be read",
        seen.unknown
    );
    Finding::new(state, said.clone()).locally(format!("{said}, of {} for one", seen.example)).cured_by(format!(
        "let the bind account read {attribute}; until then such users keep their last known state, and new ones are inactive"
    ))
}

/// The first users, and whether there may be more.
async fn sample(connection: &mut Connection, section: &Section<'_>) -> Result<(Vec<Selected>, bool), Error> {
    let never = CancellationToken::new();
    let (mut users, mut scratch) = (Vec::new(), Vec::new());
    for base_dn in section.base_dns {
        let (scope, attributes) = (section.scope, section.selection.requested());
        let query = Query { base_dn, scope, filter: &section.filter, attributes, page_size: 50 };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            let entries = batch.iter().filter(|message| !is_reference(message));
            users.extend(entries.filter_map(|message| section.selection.select(message, &mut scratch).ok()));
            if users.len() >= SAMPLE {
                return Ok((users, true));
            }
        }
    }
    Ok((users, false))
}

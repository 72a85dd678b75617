//! The total number of items of a list. For people "100 of 296" is enough, so a count stops after [`MOST_COUNTED`] rows
//! and costs the same for a long list.

use crate::Store;
use crate::error::Result;
use crate::filters;
use crate::fold;
use crate::ids::{DirectoryId, GroupId, OrganizationId, TargetId};
use crate::member_names::read_names;
use crate::member_rows::FEWEST_NAMES;
use crate::own_members;
use crate::prefix::end_of;
use crate::records::{AccountKind, IdentityFilter, JobFilter, JobState, Total};
use crate::sql::{Statement, built, sql};

/// Most rows that a count reads.
pub(crate) const MOST_COUNTED: u64 = 10_000;

/// Adds up the parts of a list until enough rows were read.
#[derive(Default)]
struct Tally {
    looked_at: u64,
    count: u64,
}

impl Tally {
    /// How many more rows to read; one beyond the limit shows that there are more. `None`: enough were read.
    fn room(&self) -> Option<i64> {
        let room = (MOST_COUNTED + 1).checked_sub(self.looked_at).filter(|room| *room > 0)?;
        i64::try_from(room).ok()
    }

    fn add(&mut self, (looked_at, count): (u64, u64)) {
        self.looked_at += looked_at;
        self.count += count;
    }

    fn total(&self) -> Total {
        Total { count: self.count.min(MOST_COUNTED), more: self.looked_at > MOST_COUNTED }
    }
}

/// The users of one step of a search, as `users` searches: `$1` the organization, `$2` and `$3` the range, `$4` the most
/// rows. A condition that few match uses its index; one that many match is applied to the rows within the limit only.
fn count_users(step: &str, filter: IdentityFilter) -> String {
    let (sought, looked_at) = filters::rare_and_common(filter);
    let ([not_active, missing], [active, there]) = (filters::of_users(sought), filters::of_users(looked_at));
    format!(
        "SELECT count(*), count(CASE WHEN TRUE{active}{there} THEN 1 END) FROM (SELECT active, missing_since FROM users \
         WHERE organization = (SELECT seq FROM organizations WHERE id = $1) AND {step}{not_active}{missing} LIMIT $4) found"
    )
}

/// All users, by the index of names alone.
const ALL_USERS: &str = "SELECT count(*), count(*) FROM (SELECT 1 FROM users \
    WHERE organization = (SELECT seq FROM organizations WHERE id = $1) LIMIT $2) found";

const USERS: [&str; 3] = [
    "name_key >= $2 AND name_key < $3",
    "display_key >= $2 AND display_key < $3 AND NOT (name_key >= $2 AND name_key < $3)",
    "email_key >= $2 AND email_key < $3 AND NOT (name_key >= $2 AND name_key < $3) \
     AND (display_key IS NULL OR NOT (display_key >= $2 AND display_key < $3))",
];

impl Store {
    async fn tally(&self, query: Statement) -> Result<(u64, u64)> {
        let counted = self.database.row(query, |mut row| Ok((row.take()?, row.take()?))).await?;
        Ok(counted.unwrap_or_default())
    }

    /// The total number of [`Store::list_users_where`].
    pub async fn total_users(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: IdentityFilter,
    ) -> Result<Total> {
        let prefix = fold(query.unwrap_or_default().trim());
        let mut tally = Tally::default();
        if prefix.is_empty() && filter == IdentityFilter::default() {
            tally.add(self.tally(sql(ALL_USERS).bind(organization).bind(tally.room())).await?);
            return Ok(tally.total());
        }
        let steps = if prefix.is_empty() { &USERS[..1] } else { &USERS[..] };
        for step in steps {
            let Some(room) = tally.room() else { break };
            let query = built(count_users(step, filter)).bind(organization);
            tally.add(self.tally(query.bind(&prefix).bind(end_of(&prefix)).bind(room)).await?);
        }
        if tally.room().is_some() {
            let own = self.by_own_address(organization, &prefix, None).await?;
            let fitting = own.iter().filter(|(user, _)| filter.fits(user)).count() as u64;
            tally.add((own.len() as u64, fitting));
        }
        Ok(tally.total())
    }

    /// The total number of [`Store::list_groups_where`].
    pub async fn total_groups(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: IdentityFilter,
    ) -> Result<Total> {
        let prefix = fold(query.unwrap_or_default().trim());
        let (rare, common) = filters::rare_and_common(filter);
        let text = format!(
            "SELECT count(*), count(CASE WHEN TRUE{} THEN 1 END) FROM (SELECT missing_since FROM groups \
             WHERE organization_id = $1 AND display_key >= $2 AND display_key < $3{} LIMIT $4) found",
            filters::of_groups(common.missing),
            filters::of_groups(rare.missing)
        );
        let mut tally = Tally::default();
        let query = built(text).bind(organization).bind(&prefix).bind(end_of(&prefix)).bind(tally.room());
        tally.add(self.tally(query).await?);
        Ok(tally.total())
    }

    /// The total number of [`Store::list_jobs`].
    pub async fn total_jobs(&self, organization: OrganizationId, filter: &JobFilter) -> Result<Total> {
        let text = "SELECT count(*), count(CASE WHEN ($3 IS NULL OR state = $3) AND ($4 IS NULL OR kind = $4) \
             AND ($5 IS NULL OR directory_id = $5) THEN 1 END) FROM (SELECT state, kind, directory_id FROM jobs \
             WHERE organization_id = $1 ORDER BY id DESC LIMIT $2) found";
        let mut tally = Tally::default();
        let query = sql(text).bind(organization).bind(tally.room()).bind(filter.state.map(JobState::as_str));
        tally.add(self.tally(query.bind(filter.kind.as_deref()).bind(filter.directory)).await?);
        Ok(tally.total())
    }

    /// The total number of [`Store::list_accounts_where`], in these targets and of these kinds.
    pub async fn total_accounts(
        &self,
        organization: OrganizationId,
        lists: &[(impl Into<TargetId> + Copy, AccountKind)],
        missing: Option<bool>,
    ) -> Result<Total> {
        let text = match missing {
            None => {
                "SELECT count(*), count(*) FROM (SELECT 1 FROM accounts WHERE target = $1 AND kind = $2 LIMIT $3) found"
            }
            Some(true) => {
                "SELECT count(*), count(*) FROM (SELECT 1 FROM accounts WHERE target = $1 AND kind = $2 \
                 AND missing_since IS NOT NULL LIMIT $3) found"
            }
            Some(false) => {
                "SELECT count(*), count(CASE WHEN missing_since IS NULL THEN 1 END) FROM (SELECT missing_since \
                 FROM accounts WHERE target = $1 AND kind = $2 LIMIT $3) found"
            }
        };
        let mut tally = Tally::default();
        for (target, kind) in lists {
            let Some(room) = tally.room() else { break };
            let Some(seq) = self.target_seq(organization, (*target).into()).await? else { continue };
            tally.add(self.tally(sql(text).bind(seq).bind(kind.code()).bind(room)).await?);
        }
        Ok(tally.total())
    }

    /// The total number of [`Store::list_conflicts`], in these directories.
    pub async fn total_conflicts(&self, organization: OrganizationId, directories: &[DirectoryId]) -> Result<Total> {
        let text = "SELECT count(*), count(CASE WHEN kind = 1 AND missing_since IS NULL THEN 1 END) \
             FROM (SELECT kind, missing_since FROM accounts WHERE target = $1 AND conflict IS NOT NULL LIMIT $2) found";
        let mut tally = Tally::default();
        for directory in directories {
            let Some(room) = tally.room() else { break };
            let Some(seq) = self.directory_seq(organization, *directory).await? else { continue };
            tally.add(self.tally(sql(text).bind(seq).bind(room)).await?);
        }
        Ok(tally.total())
    }

    /// The total number of [`Store::list_group_members`].
    pub async fn total_group_members(&self, organization: OrganizationId, group: GroupId) -> Result<Total> {
        let rows = MOST_COUNTED / FEWEST_NAMES as u64 + 1;
        let query = sql("SELECT names FROM group_members WHERE organization_id = $1 AND group_id = $2 \
             ORDER BY first_name LIMIT $3")
        .bind(organization)
        .bind(group)
        .bind(i64::try_from(rows).unwrap_or(i64::MAX));
        let names = self.database.rows(query, |mut row| Ok(read_names(&mut row)?.len() as u64)).await?;
        let mut count = names.iter().sum();
        if names.len() as u64 == rows && count < MOST_COUNTED {
            // Users name this group: each member has a row of its own.
            let query = sql("SELECT count(*), count(*) FROM (SELECT 1 FROM group_members \
                 WHERE organization_id = $1 AND group_id = $2 LIMIT $3) found");
            count = self
                .tally(query.bind(organization).bind(group).bind(i64::try_from(MOST_COUNTED + 1).unwrap_or(i64::MAX)))
                .await?
                .0;
        }
        let mut tally = Tally::default();
        tally.add((count, count));
        if let Some(room) = tally.room() {
            tally.add(self.tally(sql(own_members::COUNT).bind(organization).bind(group).bind(room)).await?);
        }
        Ok(tally.total())
    }
}

/// Totals of lists with all of an organization's items of one kind.
macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident: $from:literal,)+) => {
        impl Store {$(
            $(#[$doc])*
            pub async fn $name(&self, organization: OrganizationId) -> Result<Total> {
                let text = concat!("SELECT count(*), count(*) FROM (SELECT 1 FROM ", $from, " LIMIT $2) found");
                let mut tally = Tally::default();
                tally.add(self.tally(sql(text).bind(organization).bind(tally.room())).await?);
                Ok(tally.total())
            }
        )+}
    };
}

totals! {
    /// How many agents the organization has, including revoked ones.
    total_agents: "agents WHERE organization_id = $1",
    /// How many directories the organization has, without the deleted ones.
    total_directories: "directories WHERE organization_id = $1 AND deleted_at IS NULL",
    /// How many API tokens the organization has, including revoked ones.
    total_api_tokens: "api_tokens WHERE organization_id = $1",
    /// How many enrollment tokens the organization has, including used and revoked ones.
    total_enrollment_tokens: "enrollment_tokens WHERE organization_id = $1",
    /// How many schedules the organization has.
    total_schedules: "schedules WHERE organization_id = $1",
}

//! Finds things of an organization by name or by the beginning of an id. Every answer is short.

use uuid::Uuid;

use crate::Store;
use crate::error::Result;
use crate::fold;
use crate::ids::OrganizationId;
use crate::records::ExternalKey;
use crate::sql::{Row, Statement, sql};

/// Most things of one name that are returned.
const MOST_NAMED: u32 = 20;
/// Most names that are searched for a similar one.
const MOST_NAMES: u32 = 1_000;

/// A kind of thing that people refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// An agent, by its name.
    Agent,
    /// A directory, by its name or display name.
    Directory,
    /// An API token, by its name.
    ApiToken,
    /// An enrollment token, which has no name.
    EnrollmentToken,
    /// A job, which has no name.
    Job,
    /// A schedule, by its name.
    Schedule,
    /// A user, by user name, display name or e-mail address.
    User,
    /// A group, by its display name.
    Group,
    /// An account, by its external id.
    Account,
}

/// A thing with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: Uuid,
    /// Its name; for things without one, what distinguishes them best.
    pub name: String,
    /// Whether it is in use: neither revoked nor missing.
    pub live: bool,
}

fn read(mut row: Row) -> Result<Named> {
    Ok(Named { id: row.take()?, name: row.take()?, live: row.take()? })
}

/// The things of an organization (`$1`) that match a condition; the last placeholder is the most rows.
macro_rules! select {
    (Agent, $rest:literal) => {
        concat!("SELECT id, name, revoked_at IS NULL FROM agents WHERE organization_id = $1 AND ", $rest)
    };
    (Directory, $rest:literal) => {
        concat!("SELECT id, name, TRUE FROM directories WHERE organization_id = $1 AND deleted_at IS NULL AND ", $rest)
    };
    (ApiToken, $rest:literal) => {
        concat!("SELECT id, name, revoked_at IS NULL FROM api_tokens WHERE organization_id = $1 AND ", $rest)
    };
    (Schedule, $rest:literal) => {
        concat!("SELECT id, name, TRUE FROM schedules WHERE organization_id = $1 AND ", $rest)
    };
    (User, $rest:literal) => {
        concat!(
            "SELECT id, user_name, missing_since IS NULL FROM users ",
            "WHERE organization = (SELECT seq FROM organizations WHERE id = $1) AND ",
            $rest
        )
    };
    (Group, $rest:literal) => {
        concat!("SELECT id, display_name, missing_since IS NULL FROM groups WHERE organization_id = $1 AND ", $rest)
    };
    (Account, $rest:literal) => {
        concat!("SELECT id, dn, missing_since IS NULL FROM accounts WHERE organization_id = $1 AND ", $rest)
    };
}

impl Thing {
    /// Those with ids from `$2` to `$3`.
    const fn by_id(self) -> &'static str {
        match self {
            Self::Agent => select!(Agent, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::Directory => select!(Directory, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::ApiToken => select!(ApiToken, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::EnrollmentToken => {
                "SELECT id, 'made by ' || created_by, revoked_at IS NULL FROM enrollment_tokens \
                 WHERE organization_id = $1 AND id >= $2 AND id <= $3 ORDER BY id LIMIT $4"
            }
            Self::Job => {
                "SELECT id, kind || ', ' || state, TRUE FROM jobs \
                 WHERE organization_id = $1 AND id >= $2 AND id <= $3 ORDER BY id LIMIT $4"
            }
            Self::Schedule => select!(Schedule, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::User => select!(User, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::Group => select!(Group, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
            Self::Account => select!(Account, "id >= $2 AND id <= $3 ORDER BY id LIMIT $4"),
        }
    }

    /// Those with the name `$2`: several queries, each by its own index, for kinds of which there are many.
    const fn by_name(self) -> &'static [&'static str] {
        match self {
            Self::Agent => &[select!(Agent, "name = $2 ORDER BY revoked_at IS NOT NULL, id LIMIT $3")],
            Self::Directory => &[select!(Directory, "(name = $2 OR display_name = $2) ORDER BY id LIMIT $3")],
            Self::ApiToken => &[select!(ApiToken, "name = $2 ORDER BY revoked_at IS NOT NULL, id LIMIT $3")],
            Self::Schedule => &[select!(Schedule, "name = $2 LIMIT $3")],
            Self::User => &[
                select!(User, "name_key = $2 LIMIT $3"),
                select!(User, "display_key = $2 ORDER BY seq LIMIT $3"),
                select!(User, "email_key = $2 ORDER BY seq LIMIT $3"),
            ],
            Self::Group => &[select!(Group, "display_key = $2 ORDER BY seq LIMIT $3")],
            Self::EnrollmentToken | Self::Job | Self::Account => &[],
        }
    }

    /// The names in use, for kinds of which there are few.
    const fn names(self) -> Option<&'static str> {
        match self {
            Self::Agent => Some(select!(Agent, "revoked_at IS NULL ORDER BY id DESC LIMIT $2")),
            Self::Directory => Some(select!(Directory, "TRUE ORDER BY id LIMIT $2")),
            Self::ApiToken => Some(select!(ApiToken, "revoked_at IS NULL ORDER BY id DESC LIMIT $2")),
            Self::Schedule => Some(select!(Schedule, "TRUE ORDER BY id LIMIT $2")),
            _ => None,
        }
    }
}

impl Store {
    /// The things with ids in this range, ends included; at most twenty.
    pub async fn with_ids(
        &self,
        organization: OrganizationId,
        thing: Thing,
        (first, last): (Uuid, Uuid),
    ) -> Result<Vec<Named>> {
        let query = sql(thing.by_id()).bind(organization).bind(first).bind(last).bind(MOST_NAMED);
        self.database.rows(query, read).await
    }

    /// The things with this name; at most twenty for each kind of name. A user with exactly this user name is the only
    /// result. Users and groups ignore case; directories do so unless one has exactly this name.
    pub async fn with_name(&self, organization: OrganizationId, thing: Thing, name: &str) -> Result<Vec<Named>> {
        let key = if matches!(thing, Thing::User | Thing::Group) { fold(name) } else { name.to_owned() };
        let mut found: Vec<Named> = Vec::new();
        for query in thing.by_name() {
            let came = self.database.rows(sql(query).bind(organization).bind(&key).bind(MOST_NAMED), read).await?;
            if thing == Thing::User && query == &thing.by_name()[0] && !came.is_empty() {
                return Ok(came);
            }
            found.extend(came);
        }
        if thing == Thing::User {
            let own = self.by_own_address(organization, &key, None).await?;
            let own = own.into_iter().filter(|(user, _)| user.email.as_deref().is_some_and(|email| fold(email) == key));
            found.extend(own.map(|(user, _)| Named {
                id: user.id.as_uuid(),
                name: user.user_name,
                live: user.missing_since.is_none(),
            }));
        }
        if thing == Thing::Directory && found.is_empty() {
            found = self.directories_of_any_case(organization, name).await?;
        }
        if thing == Thing::Account {
            found = self.accounts_with_external_id(organization, name).await?;
        }
        found.sort_by_key(|named| named.id);
        found.dedup_by_key(|named| named.id);
        Ok(found)
    }

    /// The names of agents, directories, API tokens or schedules in use; of other kinds there are too many.
    pub async fn names(&self, organization: OrganizationId, thing: Thing) -> Result<Vec<String>> {
        let Some(query) = thing.names() else { return Ok(Vec::new()) };
        let named = self.database.rows(sql(query).bind(organization).bind(MOST_NAMES), read).await?;
        Ok(named.into_iter().map(|named| named.name).collect())
    }

    /// Accounts with a conflict about this user name.
    pub async fn accounts_in_conflict(&self, organization: OrganizationId, user_name: &str) -> Result<Vec<Named>> {
        let key = fold(user_name);
        self.in_each_directory(organization, |directory| {
            sql(select!(Account, "target = $2 AND conflict = $3 AND missing_since IS NULL ORDER BY id LIMIT $4"))
                .bind(organization)
                .bind(directory)
                .bind(&key)
                .bind(MOST_NAMED)
        })
        .await
    }

    /// Compares in Rust, because SQL folds only ASCII letters and there are few directories.
    async fn directories_of_any_case(&self, organization: OrganizationId, name: &str) -> Result<Vec<Named>> {
        let query = sql("SELECT id, name, display_name FROM directories \
             WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT $2");
        let read = |mut row: Row| {
            let named = Named { id: row.take()?, name: row.take()?, live: true };
            Ok((named, row.take::<String>()?))
        };
        let all = self.database.rows(query.bind(organization).bind(MOST_NAMES), read).await?;
        let key = fold(name);
        let alike = all.into_iter().filter(|(named, display)| fold(&named.name) == key || fold(display) == key);
        Ok(alike.map(|(named, _)| named).take(MOST_NAMED as usize).collect())
    }

    async fn accounts_with_external_id(&self, organization: OrganizationId, external_id: &str) -> Result<Vec<Named>> {
        let key = ExternalKey::from_text(external_id);
        self.in_each_directory(organization, |directory| {
            // Names the kinds of account, so that the index of keys is used.
            sql(select!(Account, "target = $2 AND kind IN (1, 2) AND external_key = $3 LIMIT $4"))
                .bind(organization)
                .bind(directory)
                .bind(key.as_bytes())
                .bind(MOST_NAMED)
        })
        .await
    }

    /// Runs the query for each directory of the organization, of which there are few.
    async fn in_each_directory(
        &self,
        organization: OrganizationId,
        query: impl Fn(i64) -> Statement,
    ) -> Result<Vec<Named>> {
        let directories =
            sql("SELECT seq FROM directories WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY seq LIMIT $2");
        let directories = directories.bind(organization).bind(MOST_NAMES);
        let directories: Vec<i64> = self.database.rows(directories, |mut row| row.take()).await?;
        let mut found = Vec::new();
        for directory in directories {
            found.extend(self.database.rows(query(directory), read).await?);
        }
        Ok(found)
    }
}

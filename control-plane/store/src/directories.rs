//! Directories. They are created when an agent announces them.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::Store;
use crate::active::settle_shared;
use crate::agents::{agent_in, allow};
use crate::dialect::{Bulk, Cells};
use crate::directory_order;
use crate::error::{Error, Result};
use crate::ids::{AgentId, DirectoryId, JobId, OrganizationId};
use crate::records::{
    Agent, AgentStanding, AnnouncedDirectory, Digests, Directory, DirectoryChange, JobState, Page, PageRequest, Room,
    Session, TargetKind, Thresholds, TroubledJob,
};
use crate::sessions::{self, session_columns};
use crate::sql::{Row, named, sql};
use crate::targets;
use crate::transaction::Tx;
use crate::wake::Wake;

/// An agent that may serve this many directories may announce no new ones.
const MAX_TAKEN: usize = 1_024;

/// The columns that [`read`] reads, of `directories d`.
macro_rules! select_directories {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.organization_id, d.name, d.display_name, d.flavour, d.disabled, ",
            "d.missing_threshold_percent, d.missing_threshold_minimum, d.thresholds, d.users_digest, d.groups_digest, ",
            "d.last_import_at, d.import_problem, (SELECT r.failures FROM mapping_runs r WHERE r.directory_id = d.id), ",
            "d.created_at, d.deleted_at FROM directories d ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Directory> {
    Ok(Directory {
        id: row.take()?,
        organization: row.take()?,
        name: row.take()?,
        display_name: row.take()?,
        flavour: named(&mut row)?,
        disabled: row.take()?,
        missing_threshold_percent: row.take()?,
        missing_threshold_minimum: row.take()?,
        thresholds: thresholds(row.take()?)?,
        configuration: Digests { users: row.take()?, groups: row.take()? },
        last_import_at: row.take()?,
        import_problem: row.take()?,
        mapping_failures: row.take::<Option<u64>>()?.unwrap_or_default(),
        troubled: None,
        created_at: row.take()?,
        deleted_at: row.take()?,
        agents: Vec::new(),
        sessions: Vec::new(),
        problems: Vec::new(),
        configurations: Vec::new(),
    })
}

fn thresholds(stored: serde_json::Value) -> Result<Thresholds> {
    serde_json::from_value(stored).map_err(|error| Error::corrupt(format!("thresholds: {error}")))
}

/// Creates or restores a directory that this agent may serve. `false`: it may not. A new one is added to what it may
/// serve.
async fn admit(tx: &mut Tx, agent: &mut Agent, directory: &AnnouncedDirectory, now: Timestamp) -> Result<bool> {
    let allowed = agent.allowed_directories.contains(&directory.name);
    if allowed {
        let deleted =
            sql("SELECT id FROM directories WHERE organization_id = $1 AND name = $2 AND deleted_at IS NOT NULL");
        let deleted: Option<DirectoryId> =
            tx.row(deleted.bind(agent.organization).bind(&directory.name), |mut row| row.take()).await?;
        let update = sql("UPDATE directories SET deleted_at = NULL, flavour = \
             CASE WHEN $1 = 'unknown' THEN flavour ELSE $1 END WHERE organization_id = $2 AND name = $3");
        tx.execute(update.bind(directory.flavour.as_str()).bind(agent.organization).bind(&directory.name)).await?;
        if let Some(back) = deleted {
            settle_shared(tx, agent.organization, back, now).await?;
            directory_order::begin(tx, agent.organization, now).await?;
        }
    } else if !agent.takes_new_directories || agent.allowed_directories.len() >= MAX_TAKEN {
        return Ok(false);
    }
    let new = create(tx, agent.organization, directory, now).await?;
    if new && !allowed {
        agent.allowed_directories.push(directory.name.clone());
    }
    // Another agent's directory, even a deleted one: who serves it decides about its users.
    Ok(allowed || new)
}

/// Creates a directory with its target. `false`: the name exists, perhaps as a deleted directory.
async fn create(
    tx: &mut Tx,
    organization: OrganizationId,
    directory: &AnnouncedDirectory,
    now: Timestamp,
) -> Result<bool> {
    let known = sql("SELECT seq FROM directories WHERE organization_id = $1 AND name = $2");
    if tx.row(known.bind(organization).bind(&directory.name), |mut row| row.take::<i64>()).await?.is_some() {
        return Ok(false);
    }
    let id = DirectoryId::new();
    targets::insert(tx, organization, id.into(), TargetKind::Directory).await?;
    let insert = sql("INSERT INTO directories \
         (seq, id, organization_id, name, display_name, flavour, created_at, rank) \
         SELECT t.seq, $1, $2, $3, $3, $4, $5, t.seq FROM targets t WHERE t.id = $1 \
         ON CONFLICT (organization_id, name) DO NOTHING")
    .bind(id)
    .bind(organization)
    .bind(&directory.name)
    .bind(directory.flavour.as_str())
    .bind(now);
    let new = tx.execute(insert).await? > 0;
    if !new {
        // Another replica created it first.
        targets::delete(tx, id.into()).await?;
    }
    Ok(new)
}

impl Store {
    /// Records what an agent serves, as far as it may: creates new directories, restores deleted ones, and replaces the
    /// agent's earlier announcement. Returns all that it serves now, by name, without what it may not serve.
    /// [`Error::NotFound`]: there is no such agent.
    pub async fn announce_directories(
        &self,
        organization: OrganizationId,
        agent: AgentId,
        served: &[AnnouncedDirectory],
        now: Timestamp,
    ) -> Result<Vec<Directory>> {
        let mut served: Vec<_> = served.iter().collect();
        // Always in this order, so that two replicas do not deadlock.
        served.sort_by(|one, other| one.name.cmp(&other.name));
        let mut tx = self.database.begin().await?;
        let Some(mut known) = agent_in(&mut tx, organization, agent).await? else {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the agent" });
        };
        let forget = sql("DELETE FROM agent_directories WHERE agent_id = $1 AND organization_id = $2");
        tx.execute(forget.bind(agent).bind(organization)).await?;
        let mut introduced = false;
        for directory in served {
            let before = known.allowed_directories.len();
            if admit(&mut tx, &mut known, directory, now).await? {
                introduced |= known.allowed_directories.len() > before;
                let serve = sql("INSERT INTO agent_directories (organization_id, agent_id, directory_id) \
                     SELECT organization_id, $1, id FROM directories WHERE organization_id = $2 AND name = $3 \
                     ON CONFLICT DO NOTHING")
                .bind(agent)
                .bind(organization)
                .bind(&directory.name);
                tx.execute(serve).await?;
            }
        }
        if introduced {
            allow(&mut tx, &known).await?;
        }
        let query = sql(select_directories!(
            "JOIN agent_directories s ON s.directory_id = d.id WHERE s.agent_id = $1 AND s.organization_id = $2 \
             ORDER BY d.name"
        ))
        .bind(agent)
        .bind(organization);
        let directories = tx.rows(query, read).await?;
        tx.commit().await?;
        self.with_agents(organization, directories).await
    }

    /// Records an agent's state of its directories: why it cannot use them, and the configuration that it reads them
    /// by. Directories that it does not serve are ignored.
    pub async fn note_standings(
        &self,
        organization: OrganizationId,
        agent: AgentId,
        standings: &[AgentStanding],
    ) -> Result<()> {
        let mut tx = self.database.begin().await?;
        for AgentStanding { directory, problem, configuration } in standings {
            let note = sql("UPDATE agent_directories SET problem = $1, users_digest = $2, groups_digest = $3 \
                 WHERE organization_id = $4 AND agent_id = $5 AND directory_id = $6")
            .bind(problem.clone())
            .bind(configuration.users.clone())
            .bind(configuration.groups.clone())
            .bind(organization)
            .bind(agent)
            .bind(*directory);
            tx.execute(note).await?;
        }
        tx.commit().await
    }

    /// One directory, unless it was deleted.
    pub async fn get_directory(&self, organization: OrganizationId, id: DirectoryId) -> Result<Option<Directory>> {
        let query = sql(select_directories!("WHERE d.organization_id = $1 AND d.id = $2 AND d.deleted_at IS NULL"))
            .bind(organization)
            .bind(id);
        let found = self.database.rows(query, read).await?;
        Ok(self.with_agents(organization, found).await?.pop())
    }

    /// The directory of this name, unless it was deleted.
    pub async fn find_directory(&self, organization: OrganizationId, name: &str) -> Result<Option<Directory>> {
        let query = sql(select_directories!("WHERE d.organization_id = $1 AND d.name = $2 AND d.deleted_at IS NULL"))
            .bind(organization)
            .bind(name);
        let found = self.database.rows(query, read).await?;
        Ok(self.with_agents(organization, found).await?.pop())
    }

    /// The organization's directories, oldest first, without the deleted ones.
    pub async fn list_directories(&self, organization: OrganizationId, page: &PageRequest) -> Result<Page<Directory>> {
        let after: Option<DirectoryId> = page.cursor()?;
        let query = sql(select_directories!(
            "WHERE d.organization_id = $1 AND d.deleted_at IS NULL AND d.id > $2 ORDER BY d.id LIMIT $3"
        ))
        .bind(organization)
        .bind(after.unwrap_or(DirectoryId::from_uuid(uuid::Uuid::nil())))
        .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        let found = self.with_agents(organization, found).await?;
        Ok(Page::within(found, page, &room, |last| last.id.to_string()))
    }

    /// Changes what an administrator may change. [`Error::NotFound`]: there is no such directory.
    pub async fn update_directory(
        &self,
        organization: OrganizationId,
        id: DirectoryId,
        change: DirectoryChange,
    ) -> Result<Directory> {
        let update = sql("UPDATE directories SET display_name = COALESCE($1, display_name), \
             missing_threshold_percent = COALESCE($2, missing_threshold_percent), \
             missing_threshold_minimum = COALESCE($3, missing_threshold_minimum), \
             disabled = CASE WHEN $4 THEN $5 ELSE disabled END \
             WHERE organization_id = $6 AND id = $7 AND deleted_at IS NULL \
             AND (display_name IS DISTINCT FROM COALESCE($1, display_name) \
             OR missing_threshold_percent <> COALESCE($2, missing_threshold_percent) \
             OR missing_threshold_minimum <> COALESCE($3, missing_threshold_minimum) \
             OR ($4 AND disabled IS DISTINCT FROM $5))")
        .bind(change.display_name)
        .bind(change.missing_threshold_percent)
        .bind(change.missing_threshold_minimum)
        .bind(change.disabled.is_some())
        .bind(change.disabled.unwrap_or_default())
        .bind(organization)
        .bind(id);
        let mut tx = self.database.begin().await?;
        let lock = sql("UPDATE directories SET name = name WHERE organization_id = $1 AND id = $2");
        tx.lock(lock.bind(organization).bind(id)).await?;
        tx.execute(update).await?;
        let query = sql("SELECT thresholds FROM directories WHERE organization_id = $1 AND id = $2");
        let stored = tx.row(query.bind(organization).bind(id), |mut row| row.take()).await?;
        if let Some(stored) = stored.filter(|_| !change.thresholds.is_empty()) {
            let known = thresholds(stored)?;
            let wanted = known.changed(&change.thresholds);
            let is_same = wanted == known;
            let wanted = serde_json::to_value(wanted).map_err(|error| Error::corrupt(error.to_string()))?;
            let update = sql("UPDATE directories SET thresholds = $1 WHERE organization_id = $2 AND id = $3");
            let update = update.bind(&wanted).bind(organization).bind(id);
            if !is_same {
                tx.execute(update).await?;
            }
        }
        tx.commit().await?;
        self.get_directory(organization, id).await?.ok_or(Error::NotFound { what: "the directory" })
    }

    /// Deletes a directory: its open jobs end, its accounts do not change. It is restored when an agent announces it
    /// again. [`Error::NotFound`]: there is no such directory.
    pub async fn delete_directory(&self, organization: OrganizationId, id: DirectoryId, now: Timestamp) -> Result<()> {
        let mut tx = self.database.begin().await?;
        let delete = sql("UPDATE directories SET deleted_at = $1 \
             WHERE organization_id = $2 AND id = $3 AND deleted_at IS NULL")
        .bind(now)
        .bind(organization)
        .bind(id);
        if tx.execute(delete).await? == 0 {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the directory" });
        }
        settle_shared(&mut tx, organization, id, now).await?;
        directory_order::begin(&mut tx, organization, now).await?;
        let forget = sql("DELETE FROM agent_directories WHERE organization_id = $1 AND directory_id = $2");
        tx.execute(forget.bind(organization).bind(id)).await?;
        let end = sql("UPDATE jobs SET state = 'canceled', finished_at = $1, updated_at = $1 \
             WHERE organization_id = $2 AND directory_id = $3 AND state IN ('queued', 'waiting', 'held') RETURNING id")
        .bind(now)
        .bind(organization)
        .bind(id);
        let ended: Vec<JobId> = tx.rows(end, |mut row| row.take()).await?;
        let stop = sql("UPDATE jobs SET cancel_requested = TRUE, updated_at = $1 \
             WHERE organization_id = $2 AND directory_id = $3 AND state = 'running' RETURNING id")
        .bind(now)
        .bind(organization)
        .bind(id);
        let stopping: Vec<JobId> = tx.rows(stop, |mut row| row.take()).await?;
        for job in ended {
            tx.wake(Wake::JobChanged(job));
        }
        for job in stopping {
            tx.wake(Wake::CancelRequested(job));
        }
        tx.commit().await
    }

    /// Fills in the unrevoked agents that serve the directories.
    async fn with_agents(
        &self,
        organization: OrganizationId,
        mut directories: Vec<Directory>,
    ) -> Result<Vec<Directory>> {
        let query = Bulk::new(concat!(
            "WITH v(id) AS ({rows}) SELECT p.directory_id, p.agent_id, p.problem, p.users_digest, p.groups_digest, ",
            session_columns!(),
            " FROM v JOIN agent_directories p ON p.directory_id = v.id JOIN agents a ON a.id = p.agent_id \
             LEFT JOIN sessions s ON s.agent_id = a.id LEFT JOIN replicas r ON r.id = s.replica_id \
             WHERE a.organization_id = :1 AND a.revoked_at IS NULL ORDER BY p.agent_id"
        ));
        let ids = directories.iter().map(|directory| directory.id.as_uuid()).collect();
        let serving: Vec<(AgentId, AgentStanding, Option<Session>)> = self
            .database
            .bulk_rows(query.column(Cells::Uuids(ids)).shared(organization), |mut row| {
                let (directory, agent) = (row.take()?, row.take()?);
                let (problem, configuration) = (row.take()?, Digests { users: row.take()?, groups: row.take()? });
                Ok((agent, AgentStanding { directory, problem, configuration }, sessions::read(&mut row)?))
            })
            .await?;
        let mut known: HashMap<DirectoryId, &mut Directory> =
            directories.iter_mut().map(|directory| (directory.id, directory)).collect();
        for (agent, AgentStanding { directory, problem, configuration }, session) in serving {
            let Some(directory) = known.get_mut(&directory) else { continue };
            directory.agents.push(agent);
            directory.problems.extend(problem.map(|problem| (agent, problem)));
            directory.configurations.push((agent, configuration));
            directory.sessions.extend(session.map(|session| (agent, session)));
        }
        self.with_troubled(organization, directories).await
    }

    /// Fills in the imports that are held or have failed. A held one comes first: others wait for it, and may fail.
    async fn with_troubled(
        &self,
        organization: OrganizationId,
        mut directories: Vec<Directory>,
    ) -> Result<Vec<Directory>> {
        let query = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT j.directory_id, j.id, j.state, j.hold, j.error FROM v JOIN jobs j ON j.id = COALESCE(\
             (SELECT h.id FROM jobs h WHERE h.directory_id = v.id AND h.exclusive AND h.state = 'held' LIMIT 1), \
             (SELECT l.id FROM jobs l WHERE l.directory_id = v.id AND l.exclusive AND l.state IN ('succeeded', 'failed') \
             ORDER BY l.id DESC LIMIT 1)) WHERE j.organization_id = :1 AND j.state IN ('held', 'failed')",
        );
        let ids = directories.iter().map(|directory| directory.id.as_uuid()).collect();
        let mut troubled: HashMap<DirectoryId, TroubledJob> = self
            .database
            .bulk_rows(query.column(Cells::Uuids(ids)).shared(organization), |mut row| {
                let (directory, id, state) = (row.take()?, row.take()?, named::<JobState>(&mut row)?);
                let (cause, error) = (row.take()?, row.take()?);
                let held = state == JobState::Held;
                Ok((directory, TroubledJob { id, held, reason: if held { cause } else { error } }))
            })
            .await?
            .into_iter()
            .collect();
        for directory in &mut directories {
            directory.troubled = troubled.remove(&directory.id);
        }
        Ok(directories)
    }
}

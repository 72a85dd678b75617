//! Enrolled agents.

use jiff::{SignedDuration, Timestamp};

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{AgentId, DirectoryId, OrganizationId};
use crate::records::{Agent, AgentReading, Digests, Page, PageRequest, PasswordKey, Room, ServedDirectory};
use crate::sessions::{self, session_columns};
use crate::sql::{Row, named, sql};
use crate::transaction::Tx;
use crate::wake::Wake;

/// A shared identity is recorded at most this often, however often both machines connect.
const NOTED: SignedDuration = SignedDuration::from_mins(1);

/// The columns that [`columns`] reads.
macro_rules! select_agents {
    ($rest:literal) => {
        select_agents!("", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT a.id, a.organization_id, a.name, a.version, a.os, a.allowed_directories, a.takes_new_directories, ",
            "a.enrolled_at, a.last_seen_at, a.serial, a.not_after, a.former_serial, a.identity_shared_at, ",
            "a.last_error, a.last_error_at, a.password_key, a.revoked_at, ",
            session_columns!(),
            $more,
            " FROM agents a LEFT JOIN sessions s ON s.agent_id = a.id LEFT JOIN replicas r ON r.id = s.replica_id ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Agent> {
    columns(&mut row)
}

fn columns(row: &mut Row) -> Result<Agent> {
    let mut agent = Agent {
        id: row.take()?,
        organization: row.take()?,
        name: row.take()?,
        version: row.take()?,
        os: row.take()?,
        allowed_directories: row.take()?,
        takes_new_directories: row.take()?,
        enrolled_at: row.take()?,
        last_seen_at: row.take()?,
        serial: row.take()?,
        not_after: row.take()?,
        former_serial: row.take()?,
        identity_shared_at: row.take()?,
        last_error: row.take()?,
        last_error_at: row.take()?,
        password_key: row.take()?,
        revoked_at: row.take()?,
        session: sessions::read(row)?,
    };
    let seen = agent.session.as_ref().map(|session| session.seen_at.max(session.connected_at));
    agent.last_seen_at = agent.last_seen_at.max(seen);
    Ok(agent)
}

/// Writes the directories that an agent may serve.
pub(crate) async fn allow(tx: &mut Tx, agent: &Agent) -> Result<()> {
    let update = sql("UPDATE agents SET allowed_directories = $1 WHERE organization_id = $2 AND id = $3")
        .bind(&serde_json::Value::from(agent.allowed_directories.clone()))
        .bind(agent.organization)
        .bind(agent.id);
    tx.execute(update).await.map(|_| ())
}

/// An agent, locked against other changes until this transaction ends.
pub(crate) async fn agent_in(tx: &mut Tx, organization: OrganizationId, id: AgentId) -> Result<Option<Agent>> {
    let hold =
        sql("UPDATE agents SET allowed_directories = allowed_directories WHERE organization_id = $1 AND id = $2");
    tx.execute(hold.bind(organization).bind(id)).await?;
    let query = sql(select_agents!("WHERE a.organization_id = $1 AND a.id = $2")).bind(organization).bind(id);
    tx.row(query, read).await
}

impl Store {
    /// One agent.
    pub async fn get_agent(&self, organization: OrganizationId, id: AgentId) -> Result<Option<Agent>> {
        let query = sql(select_agents!("WHERE a.organization_id = $1 AND a.id = $2")).bind(organization).bind(id);
        self.database.row(query, read).await
    }

    /// The agent of any organization; for the gateway, which identifies callers by their certificates.
    pub async fn agent_by_id(&self, id: AgentId) -> Result<Option<Agent>> {
        let query = sql(select_agents!("WHERE a.id = $1")).bind(id);
        self.database.row(query, read).await
    }

    /// The agent of any organization with its last announcement, so that an unchanged Hello writes nothing.
    pub async fn known_agent(&self, id: AgentId) -> Result<Option<AgentReading>> {
        let query = sql(select_agents!(
            ", d.id, d.name, d.flavour, p.problem, p.users_digest, p.groups_digest",
            "LEFT JOIN agent_directories p ON p.agent_id = a.id \
             LEFT JOIN directories d ON d.id = p.directory_id AND d.deleted_at IS NULL WHERE a.id = $1 ORDER BY d.name"
        ))
        .bind(id);
        let mut reading = None;
        self.database
            .rows(query, |mut row| {
                let agent = columns(&mut row)?;
                let known = reading.get_or_insert_with(|| AgentReading { agent, directories: Vec::new() });
                if let Some(id) = row.take()? {
                    known.directories.push(ServedDirectory {
                        id,
                        name: row.take()?,
                        flavour: named(&mut row)?,
                        problem: row.take()?,
                        configuration: Digests { users: row.take()?, groups: row.take()? },
                    });
                }
                Ok(())
            })
            .await?;
        Ok(reading)
    }

    /// The organization's agents, oldest first, including revoked ones.
    pub async fn list_agents(&self, organization: OrganizationId, page: &PageRequest) -> Result<Page<Agent>> {
        let after: Option<AgentId> = page.cursor()?;
        let query = sql(select_agents!("WHERE a.organization_id = $1 AND a.id > $2 ORDER BY a.id LIMIT $3"))
            .bind(organization)
            .bind(after.unwrap_or(AgentId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| last.id.to_string()))
    }

    /// Revokes an agent permanently and wakes every replica; repeating it changes nothing and wakes nobody.
    /// [`Error::NotFound`]: there is no such agent.
    pub async fn revoke_agent(&self, organization: OrganizationId, id: AgentId, now: Timestamp) -> Result<Agent> {
        let mut tx = self.database.begin().await?;
        let update = sql("UPDATE agents SET revoked_at = $1 \
             WHERE id = $2 AND organization_id = $3 AND revoked_at IS NULL")
        .bind(now)
        .bind(id)
        .bind(organization);
        if tx.execute(update).await? == 0 {
            // The agent is another organization's, or revoked already: wake nobody.
            tx.rollback().await?;
        } else {
            tx.wake(Wake::AgentRevoked(id));
            tx.commit().await?;
        }
        self.get_agent(organization, id).await?.ok_or(Error::NotFound { what: "the agent" })
    }

    /// Allows an agent to serve a directory of this name, whether it exists or not, and wakes every replica; repeating
    /// it changes nothing. [`Error::NotFound`]: there is no such agent, or it was revoked.
    pub async fn allow_directory(&self, organization: OrganizationId, id: AgentId, name: &str) -> Result<Agent> {
        let mut tx = self.database.begin().await?;
        let agent = agent_in(&mut tx, organization, id).await?.filter(|agent| agent.revoked_at.is_none());
        let Some(mut agent) = agent else {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the agent" });
        };
        if agent.allowed_directories.iter().any(|allowed| allowed == name) {
            tx.rollback().await?;
            return Ok(agent);
        }
        agent.allowed_directories.push(name.to_owned());
        agent.allowed_directories.sort();
        allow(&mut tx, &agent).await?;
        tx.wake(Wake::AgentChanged(id));
        tx.commit().await?;
        Ok(agent)
    }

    /// The agents of all organizations that were revoked at this time or later.
    pub async fn revoked_agents_since(&self, since: Timestamp) -> Result<Vec<AgentId>> {
        let query = sql("SELECT id FROM agents WHERE revoked_at IS NOT NULL AND revoked_at >= $1").bind(since);
        self.database.rows(query, |mut row| row.take()).await
    }

    /// Records what an agent sent when it connected. `None`: it did not send it.
    pub async fn record_hello(
        &self,
        id: AgentId,
        version: Option<&str>,
        os: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let update = sql("UPDATE agents SET version = COALESCE($1, version), os = COALESCE($2, os), \
             last_seen_at = $3 WHERE id = $4")
        .bind(version)
        .bind(os)
        .bind(now)
        .bind(id);
        self.database.execute(update).await.map(|_| ())
    }

    /// Records the public key that passwords for an agent's directories are sealed to. `None`: it opens none.
    pub async fn record_password_key(&self, id: AgentId, key: Option<&[u8]>) -> Result<()> {
        let update = sql("UPDATE agents SET password_key = $1 WHERE id = $2");
        self.database.execute(update.bind(key).bind(id)).await.map(|_| ())
    }

    /// The keys of the agents that serve a directory, without revoked agents, up to `limit`.
    pub async fn password_keys(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        limit: u32,
    ) -> Result<Vec<PasswordKey>> {
        let query = sql("SELECT a.id, a.name, a.password_key FROM agents a \
             JOIN agent_directories p ON p.agent_id = a.id AND p.directory_id = $2 \
             WHERE a.organization_id = $1 AND a.revoked_at IS NULL AND a.password_key IS NOT NULL \
             ORDER BY a.id DESC LIMIT $3");
        let read = |mut row: Row| Ok(PasswordKey { agent: row.take()?, name: row.take()?, key: row.take()? });
        self.database.rows(query.bind(organization).bind(directory).bind(limit), read).await
    }

    /// Records an agent's newest certificate. The one that it renewed, `former`, stays valid until the newest is used.
    /// [`Error::NotFound`]: there is no such agent, it was revoked, or `former` is no longer valid.
    pub async fn record_certificate(
        &self,
        id: AgentId,
        former: &str,
        serial: &str,
        not_after: Timestamp,
    ) -> Result<()> {
        let update = sql("UPDATE agents SET serial = $1, not_after = $2, former_serial = $3 \
             WHERE id = $4 AND revoked_at IS NULL AND (serial = $3 OR former_serial = $3)")
        .bind(serial)
        .bind(not_after)
        .bind(former)
        .bind(id);
        match self.database.execute(update).await? {
            0 => Err(Error::NotFound { what: "the agent" }),
            _ => Ok(()),
        }
    }

    /// Records that the newest certificate was used: the one before becomes invalid. `false`: another one is the
    /// newest.
    pub async fn confirm_certificate(&self, id: AgentId, serial: &str) -> Result<bool> {
        let update = sql("UPDATE agents SET former_serial = NULL WHERE id = $1 AND serial = $2").bind(id).bind(serial);
        Ok(self.database.execute(update).await? > 0)
    }

    /// Records a certificate that is newer than all known ones, as after a restored backup. `false`: it is not newer.
    pub async fn adopt_certificate(&self, id: AgentId, serial: &str, not_after: Timestamp) -> Result<bool> {
        let update = sql("UPDATE agents SET serial = $1, not_after = $2, former_serial = NULL \
             WHERE id = $3 AND revoked_at IS NULL AND not_after < $2")
        .bind(serial)
        .bind(not_after)
        .bind(id);
        Ok(self.database.execute(update).await? > 0)
    }

    /// Records why an agent was refused.
    pub async fn note_agent_error(&self, id: AgentId, error: &str, now: Timestamp) -> Result<()> {
        let update = sql("UPDATE agents SET last_error = $1, last_error_at = $2 WHERE id = $3");
        self.database.execute(update.bind(error.to_owned()).bind(now).bind(id)).await.map(|_| ())
    }

    /// Records that two machines use an agent's identity. `false`: that was recorded within the last minute.
    pub async fn note_shared_identity(&self, id: AgentId, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE agents SET identity_shared_at = $1 \
             WHERE id = $2 AND (identity_shared_at IS NULL OR identity_shared_at < $3)")
        .bind(now)
        .bind(id)
        .bind(now.checked_sub(NOTED).unwrap_or(now));
        Ok(self.database.execute(update).await? > 0)
    }
}

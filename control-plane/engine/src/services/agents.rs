//! Agents: listing them, allowing them directories, and revoking them.

use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::pages::{Listed, listed};
use super::rights::Right;
use super::{known_directories, resolve};
use crate::records::{Agent, AgentId, Directory, PageRequest};

/// Read access to agents.
#[derive(Debug)]
pub struct Agents<'s>(Access<'s>);

/// Access to allow agents directories.
#[derive(Debug)]
pub struct AllowedDirectories<'s>(Access<'s>);

/// Access to revoke agents.
#[derive(Debug)]
pub struct AgentRevocation<'s>(Access<'s>);

impl Services {
    /// Opens the agents.
    pub fn agents<'s>(&'s self, actor: &'s Actor) -> Result<Agents<'s>> {
        self.open(actor, Right::ReadAgents).map(Agents)
    }

    /// Opens the agents, to allow them directories.
    pub fn allow_directories<'s>(&'s self, actor: &'s Actor) -> Result<AllowedDirectories<'s>> {
        self.open(actor, Right::AllowDirectories).map(AllowedDirectories)
    }

    /// Opens the agents, to revoke them.
    pub fn revoke_agents<'s>(&'s self, actor: &'s Actor) -> Result<AgentRevocation<'s>> {
        self.open(actor, Right::RevokeAgents).map(AgentRevocation)
    }
}

impl Agents<'_> {
    /// Agents, with the organization's directories, which contain what each agent serves.
    pub async fn list(&self, request: &PageRequest) -> Result<(Listed<Agent>, Vec<Directory>)> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_agents(organization, request).await?;
        let directories = known_directories::all(self.0).await?;
        Ok((listed(request, page, store.total_agents(organization)).await?, directories))
    }

    /// The agent of this id or name, with all directories of the organization.
    pub async fn get(&self, named: &str) -> Result<(Agent, Vec<Directory>)> {
        let id = resolve::agent(self.0, named).await?;
        Ok((get(self.0, id).await?, known_directories::all(self.0).await?))
    }
}

impl AllowedDirectories<'_> {
    /// Allows an agent to serve a directory, and returns it with all directories of the organization.
    pub async fn allow(&self, named: &str, directory: &str) -> Result<(Agent, Vec<Directory>)> {
        let id = resolve::agent(self.0, named).await?;
        // Checked first: another organization's agent does not exist.
        let agent = get(self.0, id).await?;
        if let Some(at) = agent.revoked_at {
            let message = Message::new(format!("The agent {:?} was revoked at {at}.", agent.name));
            return Err(Error::Conflict(message.cure(
                "Enroll its machine again: `postern enrollment-tokens create --directory NAME`, then on the machine \
                 `postern-agent enroll --force --token TOKEN`.",
            )));
        }
        let directory = resolve::directory_name(self.0, "directory", directory).await?;
        let change = Change::new("agent.directory_allowed", id.as_uuid(), &agent.name);
        let change = change.before(&json!({ "directories": agent.allowed_directories }));
        let change = change.after(&json!({ "directory": directory }));
        self.0.recording(change).allow_directory(self.0.organization(), id, &directory).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, agent = %id, directory,
            "agent.directory_allowed");
        Ok((get(self.0, id).await?, known_directories::all(self.0).await?))
    }
}

impl AgentRevocation<'_> {
    /// Revokes an agent, and ends its session.
    pub async fn revoke(&self, named: &str) -> Result<()> {
        let id = resolve::agent(self.0, named).await?;
        let agent = get(self.0, id).await?;
        let change = Change::new("agent.revoked", id.as_uuid(), agent.name);
        let change = change.before(&json!({ "serial": agent.serial, "directories": agent.allowed_directories }));
        self.0.recording(change).revoke_agent(self.0.organization(), id, self.0.now()).await?;
        self.0.gate().cut(id);
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, agent = %id, "agent.revoked");
        Ok(())
    }
}

async fn get(access: Access<'_>, id: AgentId) -> Result<Agent> {
    access.store().get_agent(access.organization(), id).await?.ok_or_else(|| Error::no("agent"))
}

//! Admission of agents. Checked again for each call.

use postern_store::{Agent, AgentReading};
use tonic::Status;

use super::certificates;
use super::parts::{Gateway, unavailable};
use crate::pki::PeerAgent;

impl Gateway {
    /// The agent at the other end, unless it was revoked or deleted. Reads the database for each call.
    pub(super) async fn admit(&self, peer: &PeerAgent) -> Result<Agent, Status> {
        let agent = self.0.store.agent_by_id(peer.agent).await.map_err(|error| unavailable(&error))?;
        check(peer, agent.as_ref())?;
        let agent = agent.ok_or_else(unknown)?;
        certificates::admit(self, peer, &agent).await?;
        Ok(agent)
    }

    /// Like [`Self::admit`], with what the agent last announced.
    pub(super) async fn admit_session(&self, peer: &PeerAgent) -> Result<AgentReading, Status> {
        let reading = self.0.store.known_agent(peer.agent).await.map_err(|error| unavailable(&error))?;
        check(peer, reading.as_ref().map(|reading| &reading.agent))?;
        let reading = reading.ok_or_else(unknown)?;
        certificates::admit(self, peer, &reading.agent).await?;
        certificates::used(self, peer, &reading.agent).await?;
        Ok(reading)
    }
}

fn unknown() -> Status {
    Status::permission_denied("this agent is not known here; enroll it again")
}

fn check(peer: &PeerAgent, agent: Option<&Agent>) -> Result<(), Status> {
    match agent {
        Some(agent) if agent.organization != peer.organization => Err(Status::permission_denied("foreign agent")),
        Some(agent) if agent.revoked_at.is_some() => {
            Err(Status::permission_denied("this agent was revoked; enroll it again to use it"))
        }
        Some(_) => Ok(()),
        None => Err(unknown()),
    }
}

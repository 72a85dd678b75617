//! How an agent gets its first certificate and its later ones.

use std::net::IpAddr;

use postern_proto::{text, v1};
use postern_runtime::supervise::chain;
use postern_store::{Agent, AgentId, ConsumeError, NewAgent};
use tonic::Status;

use super::parts::{Gateway, unavailable};
use crate::pki::{self, AgentDraft, PeerAgent};
use postern_engine::secrets;

/// Longest name that an agent may choose for itself, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Exchanges a one-time token for a certificate. Checks the token first, so that a guess costs one read; then the
/// request, so that a bad one does not use up the token. The transaction that creates the agent uses the token up.
pub(super) async fn enroll(
    gateway: &Gateway,
    address: Option<IpAddr>,
    request: v1::EnrollRequest,
) -> Result<v1::EnrollResponse, Status> {
    let parts = &gateway.0;
    let now = parts.clock.now();
    if request.token_secret.is_empty() {
        return Err(Status::unauthenticated("an enrollment token is needed"));
    }
    if let Err(error) = parts.store.find_enrollment_token(secrets::hash(&request.token_secret), now).await {
        return Err(refused(gateway, address, &error));
    }
    let draft = draft(gateway, &request.csr_pem)?;
    let id = AgentId::new();
    let agent = NewAgent {
        id,
        name: name(&request.agent_name, id),
        version: text::optional(&request.agent_version),
        serial: draft.serial.clone(),
        not_after: draft.not_after,
    };
    let agent = match parts.store.enroll_agent(secrets::hash(&request.token_secret), agent, now).await {
        Ok(agent) => agent,
        Err(error) => return Err(refused(gateway, address, &error)),
    };
    let issued = parts.pki.sign_agent(draft, agent.organization, agent.id).map_err(|error| internal(&error))?;
    tracing::info!(agent = %agent.id, organization = %agent.organization, name = agent.name, "gateway.agent_enrolled");
    metrics::counter!("postern_gateway_enrollments_total").increment(1);
    Ok(v1::EnrollResponse {
        agent_id: agent.id.to_string(),
        certificate_chain_pem: issued.chain_pem,
        ca_bundle_pem: parts.pki.ca_pem().to_owned(),
    })
}

/// Exchanges a valid certificate for a new one.
pub(super) async fn renew(
    gateway: &Gateway,
    peer: &PeerAgent,
    agent: &Agent,
    request: v1::RenewRequest,
) -> Result<v1::RenewResponse, Status> {
    let parts = &gateway.0;
    let draft = draft(gateway, &request.csr_pem)?;
    let (serial, not_after) = (draft.serial.clone(), draft.not_after);
    let issued = parts.pki.sign_agent(draft, agent.organization, agent.id).map_err(|error| internal(&error))?;
    // Recorded before it is handed out: no certificate may exist that is not recorded.
    match parts.store.record_certificate(agent.id, &peer.serial, &serial, not_after).await {
        Ok(()) => {}
        Err(postern_store::Error::NotFound { .. }) => {
            return Err(Status::permission_denied("this certificate was replaced or the agent revoked meanwhile"));
        }
        Err(error) => return Err(unavailable(&error)),
    }
    parts.registry.renewed(agent.id);
    let version = text::optional(&request.agent_version);
    if version.is_some() && version != agent.version {
        let recorded = parts.store.record_hello(agent.id, version.as_deref(), None, parts.clock.now());
        recorded.await.map_err(|error| unavailable(&error))?;
    }
    tracing::info!(agent = %agent.id, not_after = %not_after, "gateway.certificate_renewed");
    Ok(v1::RenewResponse { certificate_chain_pem: issued.chain_pem, ca_bundle_pem: parts.pki.ca_pem().to_owned() })
}

fn draft(gateway: &Gateway, csr_pem: &str) -> Result<AgentDraft, Status> {
    let parts = &gateway.0;
    AgentDraft::new(csr_pem, parts.certificate_lifetime, parts.clock.now()).map_err(|error| match error {
        pki::Error::Request { .. } => Status::invalid_argument(error.to_string()),
        other => internal(&other),
    })
}

fn name(wanted: &str, id: AgentId) -> String {
    let cleaned: String = text::clean(wanted).split_whitespace().collect::<Vec<_>>().join(" ");
    if cleaned.is_empty() { id.to_string() } else { cleaned.chars().take(MAX_NAME_CHARS).collect() }
}

/// The answer to a refused token. Many wrong tokens from an address are refused with a time to wait; a valid one is
/// always accepted.
fn refused(gateway: &Gateway, address: Option<IpAddr>, error: &ConsumeError) -> Status {
    let text = match error {
        // Says no more, to help no guess.
        ConsumeError::Unknown => "this enrollment token is not valid; create a new one",
        ConsumeError::Used => "this enrollment token was used already; create a new one for each agent",
        ConsumeError::Expired => "this enrollment token has expired; create a new one",
        ConsumeError::Store(error) => return unavailable(error),
    };
    metrics::counter!("postern_gateway_enrollments_refused_total").increment(1);
    let peer = address.map(tracing::field::display);
    if let Some(Err(wait)) = address.map(|address| gateway.0.refusals.count(address, gateway.0.clock.now())) {
        metrics::counter!("postern_gateway_enrollments_throttled_total").increment(1);
        let seconds = wait.as_secs() + 1;
        return Status::resource_exhausted(format!(
            "too many enrollments from this address were refused; use a valid token, or try again in {seconds} seconds"
        ));
    }
    tracing::warn!(reason = text, peer, "gateway.enrollment_refused");
    Status::unauthenticated(text)
}

fn internal(error: &pki::Error) -> Status {
    tracing::error!(error = chain(error), "gateway.signing_failed");
    Status::internal("the control plane could not sign the certificate")
}

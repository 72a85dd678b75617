//! Which of an agent's certificates is accepted: the newest, and the one before it until the newest was used, because
//! the agent may have died before it stored the newest. Any other certificate was replaced; an agent that shows one is
//! a copy.

use jiff::Timestamp;
use postern_store::{Agent, AgentId};
use tonic::Status;

use super::parts::{Gateway, unavailable};
use crate::pki::PeerAgent;

/// How a certificate relates to those that were issued to its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The newest that was issued.
    Newest,
    /// The one before the newest, which was not used yet.
    Former,
    /// Newer than all that the database knows: the database was restored from a backup.
    Unrecorded,
    /// Replaced by a newer one that was used.
    Replaced,
}

fn standing(agent: &Agent, peer: &PeerAgent) -> Standing {
    if peer.serial == agent.serial {
        Standing::Newest
    } else if agent.former_serial.as_ref() == Some(&peer.serial) {
        Standing::Former
    } else if peer.not_after.as_second() > agent.not_after.as_second() {
        Standing::Unrecorded
    } else {
        Standing::Replaced
    }
}

/// Accepts a certificate that was not replaced.
pub(super) async fn admit(gateway: &Gateway, peer: &PeerAgent, agent: &Agent) -> Result<(), Status> {
    let parts = &gateway.0;
    match standing(agent, peer) {
        Standing::Newest | Standing::Former => return Ok(()),
        Standing::Unrecorded => {
            let adopted = parts.store.adopt_certificate(agent.id, &peer.serial, peer.not_after).await;
            if adopted.map_err(|error| unavailable(&error))? {
                tracing::warn!(agent = %agent.id, serial = peer.serial, "gateway.certificate_newer_than_database");
                return Ok(());
            }
        }
        Standing::Replaced => {}
    }
    note_shared(gateway, agent.id, "it shows a certificate that was replaced", parts.clock.now()).await;
    Err(Status::permission_denied(
        "this certificate was replaced by a newer one, which has been used. If this machine is a copy of another, or \
         was restored to an older state, enroll it again",
    ))
}

/// Records that a session was opened with this certificate: if it is the newest, the one before becomes invalid.
pub(super) async fn used(gateway: &Gateway, peer: &PeerAgent, agent: &Agent) -> Result<(), Status> {
    if agent.former_serial.is_some() && standing(agent, peer) == Standing::Newest {
        let confirmed = gateway.0.store.confirm_certificate(agent.id, &peer.serial).await;
        confirmed.map_err(|error| unavailable(&error))?;
    }
    Ok(())
}

/// Reports that two machines use one identity: in the log, in the metrics and on the agent.
pub(super) async fn note_shared(gateway: &Gateway, agent: AgentId, reason: &str, now: Timestamp) {
    metrics::counter!("postern_gateway_shared_identities_total").increment(1);
    match gateway.0.store.note_shared_identity(agent, now).await {
        Ok(true) => tracing::warn!(
            agent = %agent, reason,
            "gateway.identity_shared: this identity is used on two machines; if only one of them should have it, revoke \
             the agent and enroll that machine again"
        ),
        // Recorded a moment ago.
        Ok(false) => {}
        Err(error) => tracing::warn!(agent = %agent, %error, "gateway.shared_identity_not_noted"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use postern_store::OrganizationId;

    use super::*;

    #[test]
    fn a_certificate_stands_by_its_serial_and_by_its_end_where_the_database_is_older() {
        let now = Timestamp::UNIX_EPOCH;
        let (organization, id) = (OrganizationId::new(), AgentId::new());
        let end = now + SignedDuration::from_hours(1);
        let agent = |former: Option<&str>| Agent {
            id,
            organization,
            name: "a".to_owned(),
            version: None,
            os: None,
            allowed_directories: Vec::new(),
            takes_new_directories: false,
            enrolled_at: now,
            last_seen_at: None,
            serial: "02".to_owned(),
            not_after: end + SignedDuration::from_millis(500),
            former_serial: former.map(str::to_owned),
            identity_shared_at: None,
            last_error: None,
            last_error_at: None,
            password_key: None,
            revoked_at: None,
            session: None,
        };
        for (serial, former, not_after, expected) in [
            ("02", None, end, Standing::Newest),
            ("02", Some("01"), end, Standing::Newest),
            ("01", Some("01"), end, Standing::Former),
            ("01", None, end, Standing::Replaced),
            ("03", Some("01"), end, Standing::Replaced),
            ("03", None, end + SignedDuration::from_secs(1), Standing::Unrecorded),
        ] {
            let peer = PeerAgent { agent: id, organization, serial: serial.to_owned(), not_after };
            assert_eq!(standing(&agent(former), &peer), expected, "{serial} {former:?}");
        }
    }
}

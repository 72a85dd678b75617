//! The peer of a connection, from the client certificate that the handshake has verified.

use jiff::Timestamp;
use postern_store::{AgentId, OrganizationId};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use super::fields::hex;

const SCHEME: &str = "postern://organization/";

/// An agent, as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAgent {
    /// Its id.
    pub agent: AgentId,
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// Serial number of the certificate, lower-case hexadecimal.
    pub serial: String,
    /// When the certificate expires.
    pub not_after: Timestamp,
}

/// Why a verified certificate names no agent.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is not a certificate.
    #[error("the client certificate cannot be parsed")]
    Malformed,
    /// It was signed by our authority, but not for an agent.
    #[error("the client certificate names no agent")]
    NotAnAgent,
}

pub(super) fn uri(organization: OrganizationId, agent: AgentId) -> String {
    format!("{SCHEME}{organization}/agent/{agent}")
}

impl PeerAgent {
    /// Reads the agent's identity from a certificate that is already verified.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, PeerError> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| PeerError::Malformed)?;
        let names =
            parsed.subject_alternative_name().map_err(|_| PeerError::Malformed)?.ok_or(PeerError::NotAnAgent)?;
        let (organization, agent) = names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                GeneralName::URI(uri) => parse_uri(uri),
                _ => None,
            })
            .ok_or(PeerError::NotAnAgent)?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        let serial = hex(&parsed.tbs_certificate.serial.to_bytes_be());
        Ok(Self { agent, organization, serial, not_after })
    }
}

fn parse_uri(uri: &str) -> Option<(OrganizationId, AgentId)> {
    let (organization, agent) = uri.strip_prefix(SCHEME)?.split_once("/agent/")?;
    Some((organization.parse().ok()?, agent.parse().ok()?))
}

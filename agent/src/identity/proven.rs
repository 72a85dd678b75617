//! An identity that was read, parsed and proven to fit together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SystemClock;
use postern_runtime::tls::{self, certificates_from_pem, private_key_from_pem};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::certificate::{self, Facts};
use crate::link::tls::Credentials;
use crate::link::{Address, AddressError};

/// Id of an agent, given by the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub Uuid);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AgentId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What is wrong with an identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("the control plane's address is unusable")]
    Address(#[source] AddressError),
    /// Key, chain or authorities are not PEM.
    #[error("the identity is damaged")]
    Pem(#[source] tls::Error),
    /// The certificate cannot be read.
    #[error("the agent's certificate cannot be read")]
    Certificate(#[source] certificate::Error),
    /// The id is no UUID.
    #[error("the control plane gave an agent id that is not a UUID")]
    AgentId(#[source] uuid::Error),
    /// Key and certificate, or certificate and authorities, do not fit.
    #[error("the issued identity cannot be used")]
    Unusable(#[source] crate::link::tls::Error),
    /// A key or a signing request could not be made.
    #[error("cannot make a key and its signing request")]
    Key(#[source] rcgen::Error),
}

/// The parts as text, as they are stored and exchanged.
#[derive(Clone)]
pub struct IdentityParts {
    /// Id of the agent.
    pub agent_id: AgentId,
    /// Host and port of the control plane.
    pub address: String,
    /// PKCS#8, PEM.
    pub private_key_pem: SecretString,
    /// The agent's certificate followed by its issuers, PEM.
    pub certificate_chain_pem: String,
    /// The authorities to trust, PEM.
    pub ca_bundle_pem: String,
}

/// A usable identity: read, parsed, and proven to fit together.
pub struct Identity {
    parts: IdentityParts,
    address: Address,
    chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    facts: Facts,
}

impl Identity {
    /// Parses the parts and proves that they can be used for TLS.
    pub fn new(parts: IdentityParts) -> Result<Self, Error> {
        let chain = certificates_from_pem(parts.certificate_chain_pem.as_bytes(), "the agent's certificate");
        let chain = chain.map_err(Error::Pem)?;
        let authorities = certificates_from_pem(parts.ca_bundle_pem.as_bytes(), "the CA bundle").map_err(Error::Pem)?;
        let key = private_key_from_pem(parts.private_key_pem.expose_secret().as_bytes(), "the agent's key");
        let first = chain.first().map(Facts::read);
        let facts = first.unwrap_or(Err(certificate::Error::Missing)).map_err(Error::Certificate)?;
        let address = parts.address.parse().map_err(Error::Address)?;
        let identity = Self { address, chain, authorities, key: key.map_err(Error::Pem)?, facts, parts };
        crate::link::tls::enrolled(&identity.credentials(), &SystemClock::shared(), None).map_err(Error::Unusable)?;
        Ok(identity)
    }

    /// Id of the agent.
    pub fn agent_id(&self) -> AgentId {
        self.parts.agent_id
    }

    /// Where the control plane is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the agent shows of its certificate and its issuers: not the authorities themselves (RFC 8446, 4.4.2). The
    /// control plane has them, and would keep a copy for each agent that is connected.
    pub fn presented(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().filter(|shown| !self.authorities.contains(shown)).cloned().collect()
    }

    /// What TLS needs of it.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials { authorities: &self.authorities, presented: self.presented(), key: self.key() }
    }

    /// The trusted authorities.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// What the agent's certificate says.
    pub fn certificate(&self) -> &Facts {
        &self.facts
    }

    /// The parts as text, to be stored.
    pub fn parts(&self) -> &IdentityParts {
        &self.parts
    }

    /// When the certificate is due for renewal: at two thirds of its life.
    pub fn renewal_due(&self) -> Timestamp {
        let life = self.facts.not_after.duration_since(self.facts.not_before).unsigned_abs();
        let share = Duration::try_from_secs_f64(life.as_secs_f64() * 2.0 / 3.0).unwrap_or(life);
        self.facts.not_before.checked_add(share).unwrap_or(self.facts.not_after)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("agent_id", &self.parts.agent_id)
            .field("address", &self.parts.address)
            .finish_non_exhaustive()
    }
}

/// A fresh key with a request for its certificate.
pub(crate) struct FreshKey {
    pub(crate) private_key_pem: SecretString,
    pub(crate) csr_pem: String,
}

impl FreshKey {
    /// A P-256 key. The request names nobody: the control plane decides who this is.
    pub(crate) fn generate() -> Result<Self, Error> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&pair).map_err(Error::Key)?;
        let pem = Zeroizing::new(pair.serialize_pem());
        Ok(Self { private_key_pem: SecretString::from(pem.as_str()), csr_pem: request.pem().map_err(Error::Key)? })
    }
}

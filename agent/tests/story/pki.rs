//! A certificate authority for one test.

use std::sync::Arc;

use postern_agent::identity::{AgentId, Identity, IdentityParts};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How long certificates live that this authority signs: from so many seconds ago until in so many seconds.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) since: i64,
    pub(crate) until: i64,
}

pub(crate) const WEEK: Life = Life { since: 60, until: 7 * 86_400 };

pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn pin(&self) -> [u8; 32] {
        Sha256::digest(self.certificate.der()).into()
    }

    /// TLS for a gateway of this authority, valid for `name`; client certificates are optional.
    pub(crate) fn server(&self, name: &str) -> rustls::ServerConfig {
        self.serve(&CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// The same with a certificate whose time is over.
    pub(crate) fn expired_server(&self, name: &str) -> rustls::ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        self.serve(&params)
    }

    fn serve(&self, params: &CertificateParams) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone(), self.certificate.der().clone()];
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// The chain for a signing request.
    pub(crate) fn sign(&self, csr_pem: &str, agent_id: AgentId, life: Life) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        adorn(&mut request.params, agent_id, life);
        let certificate = request.signed_by(&self.issuer).unwrap();
        format!("{}{}", certificate.pem(), self.pem())
    }

    /// A ready identity, as if enrolled at `address`.
    pub(crate) fn identity(&self, address: &str, life: Life) -> Identity {
        let agent_id = AgentId(Uuid::from_u128(42));
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        adorn(&mut params, agent_id, life);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(IdentityParts {
            agent_id,
            address: address.to_owned(),
            private_key_pem: SecretString::from(key.serialize_pem()),
            certificate_chain_pem: format!("{}{}", certificate.pem(), self.pem()),
            ca_bundle_pem: self.pem(),
        })
        .unwrap()
    }
}

fn adorn(params: &mut CertificateParams, agent_id: AgentId, life: Life) {
    let now = std::time::SystemTime::now();
    let moment = |seconds: i64| {
        let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { now - distance } else { now + distance }
    };
    params.distinguished_name.push(DnType::CommonName, agent_id.to_string());
    params.not_before = moment(-life.since).into();
    params.not_after = moment(life.until).into();
}

//! The control plane's certificate authority: created at the first start, pinned by every enrollment token. Only its
//! agents are admitted. It signs the certificates of the gateway and of the agents, and chooses their subjects.

mod authority;
mod error;
mod fields;
mod peer;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::ownership;
use postern_runtime::tls;
use postern_store::{AgentId, OrganizationId};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

use self::error::making;
use self::fields::{BACKDATE, add, random_serial, subtract};
use crate::home::{self, modes};

pub use error::Error;
pub use fields::hex;
pub use peer::{PeerAgent, PeerError};

/// Lifetime of the gateway's certificate; a new one is made at every start and at two thirds of this.
pub const GATEWAY_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// Files of the authority's key and certificate.
const FILES: [&str; 2] = ["ca.key", "ca.pem"];
/// Most bytes of a certificate signing request; an ordinary one has a few hundred.
const MAX_CSR_BYTES: usize = 16 * 1024;

/// The certificate authority.
#[derive(Debug)]
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

/// The gateway's certificate with its key, as rustls needs them.
#[derive(Debug)]
pub struct GatewayCertificate {
    /// The certificate, then its issuer.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key, never stored.
    pub key: PrivateKeyDer<'static>,
    /// When it expires.
    pub not_after: Timestamp,
}

/// An agent's new certificate.
#[derive(Debug)]
pub struct AgentCertificate {
    /// The certificate, then its issuer, PEM.
    pub chain_pem: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it expires.
    pub not_after: Timestamp,
}

impl Pki {
    /// Whether there is an authority in `folder`, or a part of one.
    pub fn is_in(folder: &Path) -> bool {
        FILES.iter().any(|file| folder.join(file).exists())
    }

    /// Opens the authority in `folder`, or creates it.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, Error> {
        home::make_folder(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
        modes::secure_folder(folder, |name| FILES.contains(&name)).map_err(Error::Modes)?;
        let [key_path, certificate_path] = FILES.map(|file| folder.join(file));
        for path in [&key_path, &certificate_path] {
            // They may be links that root made: a mounted secret is one.
            ownership::check_readable(path).map_err(|error| Error::Modes(error.into()))?;
        }
        let key = authority::key(&key_path, &certificate_path)?;
        if !certificate_path.exists() {
            authority::make(&key, &certificate_path, now)?;
        }
        let pem = fs::read_to_string(&certificate_path)
            .map_err(|source| Error::Certificate(tls::Error::Read { path: certificate_path.clone(), source }))?;
        let certificate = tls::certificates_from_pem(pem.as_bytes(), &certificate_path.display().to_string())
            .map_err(Error::Certificate)?
            .swap_remove(0);
        if !authority::belongs(&certificate, &key) {
            return Err(Error::Mismatch { certificate: certificate_path, key: key_path });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(making("read the authority's certificate"))?;
        Ok(Self { issuer, certificate, certificate_pem: pem })
    }

    /// The authority's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What enrollment tokens pin: SHA-256 over the DER of the authority's certificate.
    pub fn ca_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The roots that the gateway trusts: this authority only.
    pub fn client_roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        // Our own certificate was parsed before; an empty store would admit nobody, which is safe.
        let _ = roots.add(self.certificate.clone());
        roots
    }

    /// Makes the gateway's certificate for these host names and addresses, with a new key.
    pub fn gateway_certificate(&self, names: &[String], now: Timestamp) -> Result<GatewayCertificate, Error> {
        let key = KeyPair::generate().map_err(making("make the gateway's key"))?;
        let names = names.iter().map(|name| subject_name(name)).collect::<Result<Vec<_>, _>>();
        let mut params = leaf(ExtendedKeyUsagePurpose::ServerAuth, now, GATEWAY_LIFETIME);
        params.distinguished_name.push(DnType::CommonName, "Postern gateway");
        params.subject_alt_names = names.map_err(making("name the gateway in its certificate"))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(making("sign the gateway's certificate"))?;
        Ok(GatewayCertificate {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            not_after: add(now, GATEWAY_LIFETIME),
        })
    }

    /// Signs an agent's request. Only its key is used: the identity is chosen here.
    pub fn sign_agent(
        &self,
        draft: AgentDraft,
        organization: OrganizationId,
        agent: AgentId,
    ) -> Result<AgentCertificate, Error> {
        let AgentDraft { public_key, mut params, serial, not_after } = draft;
        params.distinguished_name.push(DnType::CommonName, agent.to_string());
        let uri = peer::uri(organization, agent).try_into().map_err(making("name the agent in its certificate"))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        let certificate =
            params.signed_by(&public_key, &self.issuer).map_err(making("sign the agent's certificate"))?;
        let chain_pem = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok(AgentCertificate { chain_pem, serial, not_after })
    }
}

/// A certificate for an agent, without its name and signature.
#[derive(Debug)]
pub struct AgentDraft {
    public_key: rcgen::PublicKey,
    params: CertificateParams,
    /// Its serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it will expire.
    pub not_after: Timestamp,
}

impl AgentDraft {
    /// Checks a request. Nothing is signed, so an invalid request does not use up its token.
    pub fn new(csr_pem: &str, lifetime: Duration, now: Timestamp) -> Result<Self, Error> {
        let public_key = requested_key(csr_pem)?;
        let params = leaf(ExtendedKeyUsagePurpose::ClientAuth, now, lifetime);
        let serial = params.serial_number.as_ref().map(|serial| hex(&serial.to_bytes())).unwrap_or_default();
        Ok(Self { public_key, params, serial, not_after: add(now, lifetime) })
    }
}

fn requested_key(csr_pem: &str) -> Result<rcgen::PublicKey, Error> {
    if csr_pem.len() > MAX_CSR_BYTES {
        return Err(Error::Request { problem: "is too large" });
    }
    let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(|error| match error {
        rcgen::Error::InvalidCertificationRequestSignature => {
            Error::Request { problem: "is not signed by its own key" }
        }
        _ => Error::Request { problem: "is not well-formed PKCS#10 in PEM" },
    })?;
    let algorithm = rcgen::PublicKeyData::algorithm(&request.public_key);
    let strong = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if !strong.contains(&algorithm) {
        return Err(Error::Request { problem: "uses a key that is not P-256, P-384 or Ed25519" });
    }
    Ok(request.public_key)
}

fn subject_name(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.to_owned().try_into()?),
    })
}

fn leaf(usage: ExtendedKeyUsagePurpose, now: Timestamp, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = authority::date(subtract(now, BACKDATE));
    params.not_after = authority::date(add(now, lifetime));
    params.serial_number = Some(random_serial());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
#[path = "pki/tests.rs"]
mod tests;

//! The authority's key and certificate, on disk.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use rustls_pki_types::CertificateDer;
use secrecy::ExposeSecret as _;

use super::error::{Error, making};
use super::fields::{BACKDATE, add, hex, random_serial, subtract};

/// Agents pin the authority, so all end with it.
const LIFETIME: Duration = Duration::from_hours(20 * 365 * 24);

/// Reads the key, or creates it if neither a key nor a certificate exists.
pub(super) fn key(path: &Path, certificate: &Path) -> Result<KeyPair, Error> {
    if path.exists() {
        let pem = secret::read_private(path).map_err(Error::File)?;
        return KeyPair::from_pem(pem.expose_secret()).map_err(making("read the authority's key"));
    }
    if certificate.exists() {
        return Err(Error::KeyMissing { certificate: certificate.to_owned(), key: path.to_owned() });
    }
    let key = KeyPair::generate().map_err(making("make the authority's key"))?;
    // The key first: if the process dies here, the next start creates the certificate from it.
    secret::write_private(path, key.serialize_pem().as_bytes()).map_err(Error::File)?;
    Ok(key)
}

/// Creates the authority's certificate.
pub(super) fn make(key: &KeyPair, path: &Path, now: Timestamp) -> Result<(), Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Each authority has its own name, so error messages distinguish them.
    params.distinguished_name.push(DnType::CommonName, format!("Postern CA {}", hex(&rand::random::<[u8; 4]>())));
    params.not_before = date(subtract(now, BACKDATE));
    params.not_after = date(add(now, LIFETIME));
    params.serial_number = Some(random_serial());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(key).map_err(making("sign the authority's certificate"))?;
    secret::write_public(path, certificate.pem().as_bytes()).map_err(Error::File)
}

/// Whether the certificate is for this key.
pub(super) fn belongs(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    x509_parser::parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().subject_public_key.data.as_ref() == key.der_bytes())
}

/// Converts to the time type of rcgen, which is of a crate that we do not otherwise need. Certificates hold whole
/// seconds.
pub(super) fn date<T>(at: Timestamp) -> T
where
    T: From<std::time::SystemTime>,
{
    T::from(std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default()))
}

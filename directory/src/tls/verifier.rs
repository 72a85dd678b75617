//! The check of a server's certificate: webpki's, which always verifies the host name, plus two things. It remembers what
//! was shown, for the diagnosis; and where the site names its own authority in `ca_file`, it is as lenient as other LDAP
//! clients are, with name and dates verified all the same: a self-signed server certificate that stands in the file itself
//! is accepted, and one without any `subjectAltName` (Samba makes such) is known by its common name.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

/// What a certificate says, for a person to read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CertificateSummary {
    /// The subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// When it begins to be valid (RFC 3339).
    pub not_before: String,
    /// When it ends to be valid (RFC 3339).
    pub not_after: String,
}

#[derive(Debug)]
pub(super) struct DirectoryVerifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    presented: Mutex<Vec<CertificateDer<'static>>>,
}

impl DirectoryVerifier {
    pub(super) fn new(
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { inner, pinned, presented: Mutex::new(Vec::new()) })
    }

    pub(super) fn presented(&self) -> Vec<CertificateSummary> {
        self.presented.lock().unwrap_or_else(PoisonError::into_inner).iter().map(summary).collect()
    }

    /// A certificate that the administrator put into `ca_file` is trusted as it stands, but for its own name and time.
    fn verify_pinned(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<Result<ServerCertVerified, rustls::Error>> {
        if !self.pinned.iter().any(|pinned| pinned == end_entity) {
            return None;
        }
        let (_, certificate) = X509Certificate::from_der(end_entity).ok()?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds < certificate.validity().not_before.timestamp() {
            return Some(Err(CertificateError::NotValidYet.into()));
        }
        if seconds > certificate.validity().not_after.timestamp() {
            return Some(Err(CertificateError::Expired.into()));
        }
        if is_common_name(end_entity, server_name) {
            return Some(Ok(ServerCertVerified::assertion()));
        }
        let parsed = ParsedCertificate::try_from(end_entity);
        let verified = parsed.and_then(|parsed| verify_server_name(&parsed, server_name));
        Some(verified.map(|()| ServerCertVerified::assertion()))
    }
}

impl ServerCertVerifier for DirectoryVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.clone().into_owned()).collect();
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        let verdict = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            Ok(verified) => Ok(verified),
            // The name is looked at last: the chain and the dates are good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.pinned.is_empty() && is_common_name(end_entity, server_name) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) => self.verify_pinned(end_entity, server_name, now).unwrap_or(Err(plain(error))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The context of these two has times in seconds since 1970; the summary has them for people.
fn plain(error: rustls::Error) -> rustls::Error {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. }) => CertificateError::Expired.into(),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }) => {
            CertificateError::NotValidYet.into()
        }
        other => other,
    }
}

/// Whether a certificate without subject alternative names has this host for its only common name.
fn is_common_name(end_entity: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(end_entity) else { return false };
    let ServerName::DnsName(wanted) = server_name else { return false };
    let mut names = certificate.subject().iter_common_name();
    matches!(certificate.subject_alternative_name(), Ok(None))
        && names
            .next()
            .and_then(|name| name.as_str().ok())
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_ref()))
        && names.next().is_none()
}

fn summary(der: &CertificateDer<'static>) -> CertificateSummary {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return CertificateSummary::default() };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(name).collect();
    CertificateSummary {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        not_before: rfc3339(certificate.validity().not_before),
        not_after: rfc3339(certificate.validity().not_after),
    }
}

/// Times of certificates are in UTC and have no fractions (RFC 5280 §4.1.2.5).
fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    fn certificate(name: &str) -> CertificateDer<'static> {
        let pem = match name {
            "authority" => include_str!("fixtures/authority.pem"),
            "named" => include_str!("fixtures/named.pem"),
            "common-name" => include_str!("fixtures/common-name.pem"),
            _ => include_str!("fixtures/self-signed.pem"),
        };
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("a fixture")
    }

    /// Whether a server that shows `shown` is taken for `host`, and what the failure is called.
    fn verify(trusted: &str, own: bool, shown: &str, host: &str) -> Result<(), String> {
        verify_at(1_900_000_000, trusted, own, shown, host).map_err(|error| match error {
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) => "name".to_owned(),
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => "issuer".to_owned(),
            other => format!("{other:?}"),
        })
    }

    fn verify_at(seconds: u64, trusted: &str, own: bool, shown: &str, host: &str) -> Result<(), rustls::Error> {
        let trusted = certificate(trusted);
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("a root");
        let pinned = if own { vec![trusted] } else { Vec::new() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = DirectoryVerifier::new(roots, pinned, provider).expect("a verifier");
        let host = ServerName::try_from(host.to_owned()).expect("a host");
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let verdict = verifier.verify_server_cert(&certificate(shown), &[], &host, &[], now);
        assert_eq!(verifier.presented().len(), 1);
        verdict.map(|_| ())
    }

    #[test]
    fn the_host_name_is_always_verified() {
        assert_eq!(verify("authority", true, "named", "ldap.corp.example"), Ok(()));
        assert_eq!(verify("authority", true, "named", "evil.corp.example"), Err("name".to_owned()));
        assert_eq!(
            verify("authority", true, "named", "other.corp.example"),
            Err("name".to_owned()),
            "a common name counts only alone"
        );
        assert_eq!(verify("authority", true, "named", "127.0.0.1"), Err("name".to_owned()));
        assert_eq!(verify("self-signed", true, "named", "ldap.corp.example"), Err("issuer".to_owned()));
    }

    #[test]
    fn a_common_name_is_enough_under_an_authority_of_ones_own() {
        assert_eq!(verify("authority", true, "common-name", "ldap.corp.example"), Ok(()));
        assert_eq!(verify("authority", true, "common-name", "evil.corp.example"), Err("name".to_owned()));
        assert_eq!(verify("authority", false, "common-name", "ldap.corp.example"), Err("name".to_owned()));
    }

    #[test]
    fn a_self_signed_certificate_in_the_ca_file_is_trusted_for_its_own_name() {
        assert_eq!(verify("self-signed", true, "self-signed", "ldap.corp.example"), Ok(()));
        assert_eq!(verify("self-signed", true, "self-signed", "evil.corp.example"), Err("name".to_owned()));
        assert!(verify("authority", true, "self-signed", "ldap.corp.example").is_err());
        assert!(verify("self-signed", false, "self-signed", "ldap.corp.example").is_err());
    }

    #[test]
    fn no_failure_tells_the_time_in_seconds() {
        for (seconds, expected) in [(1_000_000_000, "NotValidYet"), (5_000_000_000, "Expired")] {
            let error = verify_at(seconds, "authority", true, "named", "ldap.corp.example").expect_err("not its time");
            assert_eq!(error.to_string(), format!("invalid peer certificate: {expected}"));
        }
    }

    #[test]
    fn the_contents_of_a_certificate_are_reported() {
        let summary = summary(&certificate("named"));
        assert_eq!(
            (summary.subject.as_str(), summary.issuer.as_str()),
            ("CN=other.corp.example", "CN=Fixture Authority")
        );
        assert_eq!(summary.names, ["ldap.corp.example"]);
        assert_eq!(summary.not_before, "2026-11-22T23:34:03Z");
        assert_eq!(summary.not_after, "2126-10-29T23:34:03Z");
    }
}

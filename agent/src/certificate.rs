//! What a certificate says about itself, and what the local clock has to say about that.

use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// What cannot be read of a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no certificate")]
    Missing,
    /// It is not X.509.
    #[error("not an X.509 certificate: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// Its dates are beyond what a clock can show.
    #[error("the certificate's validity is out of range")]
    Range(#[source] jiff::Error),
}

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// First moment of its life.
    pub not_before: Timestamp,
    /// Last moment of its life.
    pub not_after: Timestamp,
}

/// How a certificate stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It will be valid in this time: either the clock is slow, or the issuer's is fast.
    NotYet(SignedDuration),
    /// It is valid for this time to come.
    Valid(SignedDuration),
    /// It has been expired for this time.
    Expired(SignedDuration),
}

impl Facts {
    /// Reads a certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = X509Certificate::from_der(certificate);
        let (_, parsed) = parsed.map_err(|error| Error::Malformed { reason: error.to_string() })?;
        let time = |time: ASN1Time| Timestamp::from_second(time.timestamp()).map_err(Error::Range);
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial_as_string(),
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
        })
    }

    /// How the certificate stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if now < self.not_before {
            Standing::NotYet(self.not_before.duration_since(now))
        } else if now > self.not_after {
            Standing::Expired(now.duration_since(self.not_after))
        } else {
            Standing::Valid(self.not_after.duration_since(now))
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_stands_as_its_dates_say() {
        let mut params = CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 8);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = Facts::read(certificate.der()).unwrap();
        let at = |text: &str| facts.standing(text.parse().unwrap());
        assert_eq!(at("2025-12-31T23:00:00Z"), Standing::NotYet(SignedDuration::from_hours(1)));
        assert_eq!(at("2026-01-07T00:00:00Z"), Standing::Valid(SignedDuration::from_hours(24)));
        assert_eq!(at("2026-01-08T02:00:00Z"), Standing::Expired(SignedDuration::from_hours(2)));
    }
}

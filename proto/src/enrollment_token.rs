//! The enrollment token: one string to copy and paste with the address to dial, the authority to trust and a
//! one-time secret, so that enrolling needs nothing else and trusts nobody else.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What every token begins with; the digit is the version of its shape.
const PREFIX: &str = "postern1.";

/// The parts of a token. `Display` writes the token itself, secret included; `Debug` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// Host and port of the control plane's gateway, `host:port`.
    pub address: String,
    /// SHA-256 over the DER of the certificate authority that signs the gateway's certificate.
    pub ca_sha256: [u8; 32],
    /// The one-time secret; the control plane keeps only its hash.
    pub secret: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    a: String,
    p: String,
    s: String,
}

/// Why a string is not an enrollment token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Something else was pasted.
    #[error("this is not an enrollment token: one starts with \"{PREFIX}\"; copy the whole token as it was printed")]
    Prefix,
    /// Made by a newer release.
    #[error("this enrollment token has a newer shape than this release knows; update the agent")]
    NewerVersion,
    /// Cut short or altered on the way.
    #[error("the enrollment token is damaged or incomplete ({0}); copy the whole token again")]
    Damaged(&'static str),
}

impl FromStr for EnrollmentToken {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let Some(body) = text.strip_prefix(PREFIX) else {
            let newer = text
                .strip_prefix("postern")
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(version, _)| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()));
            return Err(if newer { ParseError::NewerVersion } else { ParseError::Prefix });
        };
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| ParseError::Damaged("not base64url"))?;
        let shape: Shape = serde_json::from_slice(&json).map_err(|_| ParseError::Damaged("parts are missing"))?;
        let pin = URL_SAFE_NO_PAD.decode(&shape.p).map_err(|_| ParseError::Damaged("the pin is not base64url"))?;
        let ca_sha256 = pin.try_into().map_err(|_| ParseError::Damaged("the pin is not a SHA-256"))?;
        if !is_host_and_port(&shape.a) {
            return Err(ParseError::Damaged("the address is not host:port"));
        }
        if shape.s.is_empty() {
            return Err(ParseError::Damaged("the secret is empty"));
        }
        Ok(Self { address: shape.a, ca_sha256, secret: shape.s })
    }
}

fn is_host_and_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl fmt::Display for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape =
            Shape { a: self.address.clone(), p: URL_SAFE_NO_PAD.encode(self.ca_sha256), s: self.secret.clone() };
        let json = serde_json::to_vec(&shape).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentToken").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrollmentToken {
        EnrollmentToken { address: "gw.example:8443".into(), ca_sha256: [7; 32], secret: "s3cret".into() }
    }

    #[test]
    fn a_token_survives_copy_and_paste() {
        let text = format!("  {}\n", token());
        assert_eq!(text.parse(), Ok(token()));
    }

    #[test]
    fn what_is_wrong_with_a_string_is_said() {
        let whole = token().to_string();
        assert_eq!("hello".parse::<EnrollmentToken>(), Err(ParseError::Prefix));
        assert_eq!("postern2.abc".parse::<EnrollmentToken>(), Err(ParseError::NewerVersion));
        for cut in PREFIX.len()..whole.len() {
            assert!(matches!(whole[..cut].parse::<EnrollmentToken>(), Err(ParseError::Damaged(_))), "cut at {cut}");
        }
    }

    /// Tokens are copied into runbooks and images, and outlive a release.
    #[test]
    fn a_token_is_written_as_in_every_release() {
        insta::assert_snapshot!(
            token().to_string(),
            @"postern1.eyJhIjoiZ3cuZXhhbXBsZTo4NDQzIiwicCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2MiLCJzIjoiczNjcmV0In0"
        );
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(!format!("{:?}", token()).contains("s3cret"));
    }
}

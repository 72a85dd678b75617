//! The first certificate, in exchange for a one-time token.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use postern_proto::MAX_FRAME_BYTES;
use postern_proto::enrollment_token::EnrollmentToken;
use postern_proto::v1::EnrollRequest;
use postern_proto::v1::enrollment_client::EnrollmentClient;
use postern_runtime::clock::SharedClock;
use postern_runtime::plain;
use postern_runtime::supervise::Supervisor;
use tonic::{Code, Status};

use super::proven::{self, FreshKey, Identity, IdentityParts};
use crate::certificate::Standing;
use crate::link::proxy::{self, ProxyRule};
use crate::link::{Address, AddressError, Connection, Dialed, dial, http2, tls};

/// A difference that is worth mentioning.
pub(crate) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// Why enrolling failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token's address is none.
    #[error("the enrollment token carries an unusable address")]
    Address(#[source] AddressError),
    /// The proxy setting is wrong.
    #[error("the proxy setting is wrong")]
    Proxy(#[source] proxy::Error),
    /// The control plane cannot be reached, or is not the one that the token pins.
    #[error("cannot reach the control plane of this token")]
    Dial(#[source] dial::Error),
    /// No verifier could be built.
    #[error("cannot prepare TLS")]
    Tls(#[source] tls::Error),
    /// The other end does not speak HTTP/2.
    #[error("cannot communicate with the control plane of this token")]
    Http2(#[source] http2::Error),
    /// The token is not accepted.
    #[error(
        "the control plane does not accept this token: it is unknown, was used already, or has expired; create another \
         one with: postern enrollment-tokens create"
    )]
    Token(Box<Status>),
    /// The versions do not overlap.
    #[error("this agent and the control plane have no protocol version in common; update the older one")]
    Version(Box<Status>),
    /// The control plane answered with another error.
    #[error("the control plane did not enroll this agent: {}", words(.0))]
    Refused(Box<Status>),
    /// What came back cannot be used, or a key could not be made.
    #[error("the control plane returned an unusable identity")]
    Identity(#[source] proven::Error),
}

/// A new identity, and what the clocks had to say.
#[derive(Debug)]
pub struct Enrolled {
    /// The identity; not stored yet.
    pub identity: Identity,
    /// How far the control plane's clock is ahead of this machine's, if known.
    pub clock_ahead: Option<SignedDuration>,
    /// How the certificate stands by this machine's clock.
    pub standing: Standing,
}

/// What enrolling needs besides the token.
#[derive(Debug)]
pub struct Enrollment {
    /// How to get out.
    pub proxy: ProxyRule,
    /// Name of this agent in lists.
    pub agent_name: String,
    /// This machine's time.
    pub clock: SharedClock,
    /// Keeps the connection going.
    pub supervisor: Supervisor,
}

impl Enrollment {
    /// Makes a key and exchanges the token for its certificate.
    pub async fn enroll(&self, token: &EnrollmentToken) -> Result<Enrolled, Error> {
        let key = FreshKey::generate().map_err(Error::Identity)?;
        let connection = self.connect(token).await?;
        let request = EnrollRequest {
            token_secret: token.secret.clone(),
            csr_pem: key.csr_pem,
            agent_version: crate::VERSION.to_owned(),
            agent_name: self.agent_name.clone(),
        };
        let mut client = EnrollmentClient::with_origin(connection.clone(), connection.origin())
            .max_decoding_message_size(MAX_FRAME_BYTES);
        let answer = client.enroll(request).await.map_err(refused)?;
        connection.close();
        let now = self.clock.now();
        let clock_ahead = date(answer.metadata()).map(|theirs| theirs.duration_since(now));
        let issued = answer.into_inner();
        let identity = Identity::new(IdentityParts {
            agent_id: issued.agent_id.parse().map_err(|error| Error::Identity(proven::Error::AgentId(error)))?,
            address: token.address.clone(),
            private_key_pem: key.private_key_pem,
            certificate_chain_pem: issued.certificate_chain_pem,
            ca_bundle_pem: issued.ca_bundle_pem,
        })
        .map_err(Error::Identity)?;
        let standing = identity.certificate().standing(now);
        Ok(Enrolled { identity, clock_ahead, standing })
    }

    async fn connect(&self, token: &EnrollmentToken) -> Result<Connection, Error> {
        let target: Address = token.address.parse().map_err(Error::Address)?;
        let proxy = self.proxy.resolve(&target).map_err(Error::Proxy)?;
        let config = tls::pinned(token.ca_sha256, &self.clock, None).map_err(Error::Tls)?;
        let tcp = dial::tcp(&target, proxy.as_ref(), &self.clock).await.map_err(Error::Dial)?;
        let io = dial::encrypt(tcp, &target, Arc::new(config), &self.clock).await.map_err(Error::Dial)?;
        let dialed = Dialed { io: Box::new(io), authority: target.to_string(), local: false };
        Connection::start(dialed, &self.supervisor).await.map_err(Error::Http2)
    }
}

fn refused(status: Status) -> Error {
    let code = status.code();
    let status = Box::new(status);
    match code {
        Code::Unauthenticated | Code::PermissionDenied => Error::Token(status),
        Code::FailedPrecondition => Error::Version(status),
        _ => Error::Refused(status),
    }
}

/// What a person reads of an answer: its words, without the codes and headers of gRPC.
fn words(status: &Status) -> Cow<'_, str> {
    match status.message() {
        "" => Cow::Borrowed(status.code().description()),
        message => plain::line(message),
    }
}

/// The `Date` that every HTTP answer carries (RFC 9110, 6.6.1).
fn date(metadata: &tonic::metadata::MetadataMap) -> Option<Timestamp> {
    http_date(metadata.get("date")?.to_str().ok()?)
}

/// Reads an HTTP date, which is an RFC 2822 date in GMT.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_once_and_without_the_codes_of_grpc() {
        let busy = Status::resource_exhausted("too many agents enroll at once; try again in a minute");
        for status in [busy, Status::unauthenticated("the token was used already"), Status::failed_precondition("old")]
        {
            let said = postern_runtime::supervise::chain(&refused(status));
            for raw in ["status:", "code:", "metadata", "ResourceExhausted"] {
                assert!(!said.contains(raw), "{said}");
            }
            assert!(said.matches("used already").count() < 2, "{said}");
        }
        let said = refused(Status::resource_exhausted("try again in a minute")).to_string();
        assert!(said.ends_with("did not enroll this agent: try again in a minute"), "{said}");
    }

    #[test]
    fn http_dates_are_read() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.as_second(), 784_111_777);
        assert_eq!(http_date("yesterday"), None);
    }
}

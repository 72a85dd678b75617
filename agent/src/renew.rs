//! A fresh certificate at two thirds of the old one's life, without a restart: over the connection that stands.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_proto::MAX_FRAME_BYTES;
use postern_proto::v1::RenewRequest;
use postern_proto::v1::enrollment_client::EnrollmentClient;
use postern_runtime::clock::SharedClock;
use postern_runtime::retry::Backoff;
use postern_runtime::supervise::chain;
use tonic::{Code, Status};

use crate::certificate::Standing;
use crate::identity::{self, FreshKey, Identity, IdentityParts, IdentitySource, store};
use crate::link::{Connection, Line};
use crate::status::Observed;

const RETRY_INITIAL: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest sleep in one piece, so that a machine that was suspended or whose clock was set notices.
const LONGEST_NAP: Duration = Duration::from_hours(1);

/// Why a renewal failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No new key.
    #[error("cannot make a new key")]
    Key(#[source] identity::Error),
    /// The agent was revoked.
    #[error("the control plane has revoked this agent; enroll again with a new token and --force")]
    Revoked(#[source] Box<Status>),
    /// The control plane refused or the connection broke.
    #[error("the control plane did not renew the certificate")]
    Refused(#[source] Box<Status>),
    /// No answer.
    #[error("the control plane did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// What came back cannot be used.
    #[error("the renewed certificate cannot be used")]
    Unusable(#[source] identity::Error),
    /// It could not be stored; the old one stays in use.
    #[error("the renewed certificate cannot be stored")]
    Store(#[source] store::Error),
}

/// Renews for as long as the agent runs.
#[derive(Debug)]
pub struct Renewal {
    /// What is renewed.
    pub identity: IdentitySource,
    /// Over what.
    pub line: Line,
    /// By whose time.
    pub clock: SharedClock,
    /// Knows the difference to the control plane's clock.
    pub observed: Arc<Observed>,
}

impl Renewal {
    /// Sleeps until the certificate is due, renews it, and again; tries anew after a failure.
    pub async fn run(self) {
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        loop {
            self.until_due().await;
            // Another process may have enrolled this agent anew.
            self.identity.refresh();
            let connection = tokio::select! {
                biased;
                // Over a new enrollment: look again.
                () = self.until_not_due() => continue,
                connection = self.line.connection() => connection,
            };
            match self.renew(connection).await {
                Ok(not_after) => {
                    tracing::info!(%not_after, "identity.renewed");
                    backoff.reset();
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    let not_after = self.identity.current().certificate().not_after;
                    tracing::error!(
                        error = chain(&error),
                        %not_after,
                        retry_in_ms = delay.as_millis(),
                        "identity.renewal_failed"
                    );
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    /// By the control plane's clock, as far as it is known: it is the one that judges.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.observed.clock_ahead()).unwrap_or(now)
    }

    fn remaining(&self) -> Duration {
        let due = self.identity.current().renewal_due();
        Duration::try_from(due.duration_since(self.now())).unwrap_or_default()
    }

    async fn until_not_due(&self) {
        let mut changes = self.identity.watch();
        while self.remaining().is_zero() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn until_due(&self) {
        let mut changes = self.identity.watch();
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return;
            }
            tokio::select! {
                () = self.clock.sleep(remaining.min(LONGEST_NAP)) => {}
                _ = changes.changed() => {}
                () = self.observed.clock_learned() => {}
            }
        }
    }

    async fn renew(&self, connection: Connection) -> Result<Timestamp, Error> {
        let old = self.identity.current();
        let key = FreshKey::generate().map_err(Error::Key)?;
        let request = RenewRequest { csr_pem: key.csr_pem, agent_version: crate::VERSION.to_owned() };
        let origin = connection.origin();
        let mut client = EnrollmentClient::with_origin(connection, origin).max_decoding_message_size(MAX_FRAME_BYTES);
        let answer = tokio::select! {
            answer = client.renew(request) => answer.map_err(refused)?.into_inner(),
            () = self.clock.sleep(ANSWER_TIMEOUT) => return Err(Error::Timeout),
        };
        let renewed = Identity::new(IdentityParts {
            private_key_pem: key.private_key_pem,
            certificate_chain_pem: answer.certificate_chain_pem,
            ca_bundle_pem: answer.ca_bundle_pem,
            ..old.parts().clone()
        })
        .map_err(Error::Unusable)?;
        // An enrollment meanwhile has made another agent of this one: what was renewed is nobody's any more.
        self.identity.refresh();
        let current = self.identity.current();
        if current.agent_id() != old.agent_id() {
            return Ok(current.certificate().not_after);
        }
        let not_after = renewed.certificate().not_after;
        self.identity.replace(renewed).map_err(Error::Store)?;
        Ok(not_after)
    }
}

fn refused(status: Status) -> Error {
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => Error::Revoked(Box::new(status)),
        _ => Error::Refused(Box::new(status)),
    }
}

/// Says plainly how the certificate stands when that is not well. Called at start and at every failed connection.
pub fn warn_of_standing(identity: &Identity, now: Timestamp) {
    match identity.certificate().standing(now) {
        Standing::Valid(_) => {}
        Standing::NotYet(ahead) => tracing::error!(
            not_before = %identity.certificate().not_before,
            seconds = ahead.as_secs(),
            "identity.not_yet_valid: by this machine's clock the agent's certificate is not valid yet; set the clock (NTP)"
        ),
        Standing::Expired(since) => tracing::error!(
            not_after = %identity.certificate().not_after,
            seconds = since.as_secs(),
            "identity.expired: by this machine's clock the agent's certificate has expired; if the clock is right, \
             enroll again with a new token: postern-agent enroll --force --token TOKEN"
        ),
    }
}

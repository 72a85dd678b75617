//! Everything between this machine and its control plane, step by step, with a cure for each trouble. It opens no
//! session: a running agent is not disturbed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::DATE;
use http::{HeaderMap, Request};
use hyper::body::Body as HttpBody;
use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{BoxError, Supervisor, chain};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::certificate::{Facts, Standing};
use crate::identity::Identity;
use crate::identity::enroll::{CLOCK_TOLERANCE, http_date};
use crate::link::proxy::{Proxy, ProxyRule};
use crate::link::{Address, Connection, Dialed, dial, tls};
use crate::served::{Check, CheckState};

/// With a larger difference certificates may be judged wrongly.
const CLOCK_LIMIT: SignedDuration = SignedDuration::from_mins(5);
const REASON_PATIENCE: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

const STEPS: [&str; 6] = ["certificate", "dns", "tcp", "tls", "control_plane", "clock"];
const CLOCK_CURE: &str = "set this machine's clock, for example with: timedatectl set-ntp true";
const BETWEEN_CURE: &str = "check the firewalls and proxies between this machine and the control plane";
const ENROLL_CURE: &str = "create a new token (postern enrollment-tokens create --directory NAME, once for each directory of this agent), \
     then run: postern-agent enroll --token TOKEN --force";

/// What the diagnosis works with.
pub struct Diagnosis<'a> {
    /// The agent's identity.
    pub identity: &'a Identity,
    /// How to get out.
    pub proxy: &'a ProxyRule,
    /// Time.
    pub clock: &'a SharedClock,
    /// Keeps connections going.
    pub supervisor: &'a Supervisor,
}

/// What one step found.
pub(crate) struct Finding {
    pub(crate) state: CheckState,
    pub(crate) detail: String,
    pub(crate) cure: Option<String>,
}

impl Finding {
    pub(crate) fn passed(detail: impl Into<String>) -> Self {
        Self { state: CheckState::Passed, detail: detail.into(), cure: None }
    }

    pub(crate) fn warned(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { state: CheckState::Warned, detail: detail.into(), cure: Some(cure.into()) }
    }

    pub(crate) fn failed(detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { state: CheckState::Failed, detail: detail.into(), cure: Some(cure.into()) }
    }

    pub(crate) fn skipped(detail: impl Into<String>) -> Self {
        Self { state: CheckState::Skipped, detail: detail.into(), cure: None }
    }

    /// The row of a report.
    pub(crate) fn named(self, name: &str, elapsed: Duration) -> Check {
        let Self { state, detail, cure } = self;
        Check { name: name.to_owned(), state, detail_local: detail.clone(), detail, cure, elapsed }
    }
}

/// What the control plane answered to a call that asks for nothing.
struct Answer {
    date: Option<Timestamp>,
    /// Why it has no business with this agent, in its own words.
    refusal: Option<String>,
}

type Step<T> = (Finding, Option<T>);

fn stop<T>(detail: impl Into<String>, cure: impl Into<String>) -> Step<T> {
    (Finding::failed(detail, cure), None)
}

impl Diagnosis<'_> {
    /// Makes every check; those that cannot be made for an earlier failure are skipped.
    pub async fn run(&self) -> Vec<Check> {
        let target = self.identity.address();
        let enrolled = Finding::passed(format!("enrolled with {target}"));
        let mut rows = vec![enrolled.named("enrollment", Duration::ZERO), self.certificate()];
        let proxy = match self.proxy.resolve(target) {
            Ok(proxy) => proxy,
            Err(error) => {
                rows.push(Finding::failed(chain(&error), "correct control_plane.proxy").named("proxy", Duration::ZERO));
                return skip_rest(rows);
            }
        };
        let _complete = self.outward(target, proxy.as_ref(), &mut rows).await;
        skip_rest(rows)
    }

    async fn outward(&self, target: &Address, proxy: Option<&Proxy>, rows: &mut Vec<Check>) -> Option<()> {
        let dns = resolve(target, proxy);
        self.step("dns", dns, rows).await?;
        let tcp = self.step("tcp", self.tcp(target, proxy), rows).await?;
        let io = self.step("tls", self.tls(target, tcp), rows).await?;
        let answer = self.step("control_plane", self.ask(target, io), rows).await?;
        if let (Some(refusal), Some(enrollment)) = (answer.refusal, rows.first_mut()) {
            let finding = Finding::failed(format!("the control plane refuses this agent: {refusal}"), ENROLL_CURE);
            *enrollment = finding.named("enrollment", Duration::ZERO);
        }
        let clock = async { (self.compare_clocks(answer.date), Some(())) };
        self.step("clock", clock, rows).await
    }

    async fn step<T>(&self, name: &str, step: impl Future<Output = Step<T>>, rows: &mut Vec<Check>) -> Option<T> {
        let started = self.clock.now();
        let (finding, yielded) = step.await;
        rows.push(finding.named(name, self.clock.now().duration_since(started).unsigned_abs()));
        yielded
    }

    fn certificate(&self) -> Check {
        let facts = self.identity.certificate();
        let agent = self.identity.agent_id();
        let finding = match facts.standing(self.clock.now()) {
            Standing::Valid(_) if self.clock.now() > self.identity.renewal_due() => Finding::warned(
                format!("agent {agent}, certificate valid until {}, renewal overdue", facts.not_after),
                "start the agent: it renews the certificate once it is connected",
            ),
            Standing::Valid(_) => {
                Finding::passed(format!("agent {agent}, certificate valid until {}", facts.not_after))
            }
            Standing::NotYet(_) => Finding::failed(
                format!("by this machine's clock the certificate is not valid before {}", facts.not_before),
                CLOCK_CURE,
            ),
            Standing::Expired(_) => Finding::failed(
                format!("by this machine's clock the certificate expired at {}", facts.not_after),
                format!("if the clock is right, {ENROLL_CURE}"),
            ),
        };
        finding.named("certificate", Duration::ZERO)
    }

    async fn tcp(&self, target: &Address, proxy: Option<&Proxy>) -> Step<TcpStream> {
        match dial::tcp(target, proxy, self.clock).await {
            Ok(tcp) => {
                let way = proxy.map_or_else(|| "directly".to_owned(), |proxy| format!("through the proxy {proxy}"));
                (Finding::passed(format!("connected to {target} {way}")), Some(tcp))
            }
            Err(error) => {
                let cure = error.cure().unwrap_or_else(|| BETWEEN_CURE.to_owned());
                stop(chain(&error), cure)
            }
        }
    }

    async fn tls(&self, target: &Address, tcp: TcpStream) -> Step<TlsStream<TcpStream>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let config = match tls::enrolled(&self.identity.credentials(), self.clock, Some(Arc::clone(&seen))) {
            Ok(config) => config,
            Err(error) => return stop(chain(&error), ENROLL_CURE),
        };
        let result = dial::encrypt(tcp, target, Arc::new(config), self.clock).await;
        let shown = describe_chain(&seen.lock().unwrap_or_else(PoisonError::into_inner));
        match result {
            Ok(io) => (Finding::passed(format!("TLS 1.3; {shown}")), Some(io)),
            Err(dial::Error::Tls { cure, source, .. }) => {
                let cure = cure.unwrap_or_else(|| BETWEEN_CURE.to_owned());
                stop(format!("{source}; {shown}"), cure)
            }
            Err(error) => stop(chain(&error), BETWEEN_CURE),
        }
    }

    /// Any answer will do: it proves that the client certificate is accepted, carries the time, and says whether the
    /// agent was revoked.
    async fn ask(&self, target: &Address, io: TlsStream<TcpStream>) -> Step<Answer> {
        let dialed = Dialed { io: Box::new(io), authority: target.to_string(), local: false };
        let mut connection = match Connection::start(dialed, self.supervisor).await {
            Ok(connection) => connection,
            Err(error) => return stop(chain(&error), "check that the address is the control plane's gateway"),
        };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = connection.origin();
        let asking = connection.clone();
        let answer = async {
            let (parts, body) = connection.ready().await?.call(request).await?.into_parts();
            let date = parts.headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
            Ok::<_, BoxError>(Answer { date, refusal: refusal(&parts.headers, body).await })
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.clock.sleep(ANSWER_TIMEOUT) => {
                return stop("no answer", "check that the address is the control plane's gateway");
            }
        };
        match answer {
            Ok(answer) => {
                let said = match &answer.refusal {
                    None => "answers, and accepts this agent's certificate",
                    Some(_) => "answers, and refuses this agent",
                };
                (Finding::passed(said), Some(answer))
            }
            Err(error) => {
                // The reason may come a moment after the failure that it caused.
                tokio::select! {
                    () = asking.ended() => {}
                    () = self.clock.sleep(REASON_PATIENCE) => {}
                }
                let reason = asking.failure().unwrap_or_else(|| chain(&*error));
                stop(reason, format!("if the agent was revoked or its certificate has expired, {ENROLL_CURE}"))
            }
        }
    }

    fn compare_clocks(&self, theirs: Option<Timestamp>) -> Finding {
        let Some(theirs) = theirs else { return Finding::skipped("the control plane did not send its time") };
        let ahead = theirs.duration_since(self.clock.now());
        let side = if ahead.is_positive() { "behind" } else { "ahead of" };
        let detail = format!("this machine's clock is {} s {side} the control plane's", ahead.abs().as_secs());
        match ahead.abs() {
            difference if difference > CLOCK_LIMIT => Finding::failed(detail, CLOCK_CURE),
            difference if difference > CLOCK_TOLERANCE => Finding::warned(detail, CLOCK_CURE),
            _ => Finding::passed(detail),
        }
    }
}

/// Whether the answer says that this agent may do nothing at all: in the headers, or in the trailers behind a body.
async fn refusal<B: HttpBody + Unpin>(headers: &HeaderMap, mut body: B) -> Option<String> {
    let mut status = Status::from_header_map(headers);
    while status.is_none() {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            Some(Ok(frame)) => status = frame.trailers_ref().and_then(Status::from_header_map),
            // No status is as good as any other: an answer came.
            Some(Err(_)) | None => return None,
        }
    }
    let status = status?;
    let refused = matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated);
    refused.then(|| match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    })
}

async fn resolve(target: &Address, proxy: Option<&Proxy>) -> Step<()> {
    let (host, port) = match proxy {
        Some(proxy) => (proxy.uri.host().unwrap_or_default(), proxy.uri.port_u16().unwrap_or(80)),
        None => (target.host.as_str(), target.port),
    };
    match tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await {
        Ok(addresses) => {
            let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            (Finding::passed(format!("{host} is {}", addresses.join(", "))), Some(()))
        }
        Err(error) => stop(
            format!("{host} cannot be resolved: {error}"),
            format!("check this machine's name servers (resolvectl query {host}), or the name"),
        ),
    }
}

fn describe_chain(chain: &[CertificateDer<'static>]) -> String {
    let describe = |certificate: &CertificateDer<'_>| match Facts::read(certificate) {
        Ok(facts) => format!(
            "\"{}\" issued by \"{}\", valid from {} until {}",
            facts.subject, facts.issuer, facts.not_before, facts.not_after
        ),
        Err(error) => error.to_string(),
    };
    if chain.is_empty() {
        return "no certificate was presented".to_owned();
    }
    let described: Vec<String> = chain.iter().map(describe).collect();
    format!("presented: {}", described.join(", then "))
}

/// Adds what was not tried.
pub(crate) fn skip_rest(mut rows: Vec<Check>) -> Vec<Check> {
    for name in STEPS {
        if !rows.iter().any(|row| row.name == name) {
            rows.push(Finding::skipped("an earlier check failed").named(name, Duration::ZERO));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::Frame;

    use super::*;

    struct Frames(VecDeque<Frame<Bytes>>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn status(code: &'static str) -> HeaderMap {
        let pairs = [("grpc-status", code), ("grpc-message", "was%20revoked")];
        pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    async fn of(headers: HeaderMap, frames: impl IntoIterator<Item = Frame<Bytes>>) -> Option<String> {
        refusal(&headers, Frames(frames.into_iter().collect())).await
    }

    #[tokio::test]
    async fn a_refusal_is_read_from_headers_and_from_trailers() {
        let revoked = Some("was revoked".to_owned());
        assert_eq!(of(status("7"), []).await, revoked);
        let behind = || [Frame::data(Bytes::from_static(b"body")), Frame::trailers(status("7"))];
        assert_eq!(of(HeaderMap::new(), behind()).await, revoked);
        assert_eq!(of(status("12"), []).await, None, "an unknown call");
        assert_eq!(of(status("12"), behind()).await, None, "the headers are the answer");
        assert_eq!(of(HeaderMap::new(), [Frame::data(Bytes::from_static(b"no gRPC"))]).await, None);
    }
}

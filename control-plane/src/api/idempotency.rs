//! `Idempotency-Key` on POST: a repeated request gets the answer of the first, however often the line was cut. So it is
//! carried out to its end, whether or not its caller still waits.
//!
//! Only answers of success are kept, for a day. They may contain a secret that is shown once, so they are kept sealed
//! under a key made from the caller's token, which the control plane itself does not have.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use postern_engine::records::{AnswerClaim, StoredAnswer};
use postern_engine::services::{Actor, Probe};
use postern_runtime::supervise::OnCancel;
use tokio::sync::oneshot;

use super::Api;
use super::auth::{Caller, bearer};
use super::extract::unreadable;
use super::layers;
use super::problem::{Kind, Problem};
use super::shares::Place;

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that is repeated.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const MAX_KEY_CHARS: usize = 255;
/// After how long a request may be repeated whose first attempt is still under way.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Answers of POSTs are single objects.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The key of a request in the organization, and the request.
struct Claim {
    key: [u8; 32],
    request: [u8; 32],
    seal: ChaCha20Poly1305,
}

/// Answers a repeated POST from what was kept, and keeps the answer of a new one.
pub(super) async fn replay(State(api): State<Api>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    match once(&api, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn once(api: &Api, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(Problem::new(Kind::Unauthenticated, "The request carries no token."));
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, layers::longest_body(parts.uri.path()))
        .await
        .map_err(|_| unreadable(StatusCode::PAYLOAD_TOO_LARGE, parts.uri.path()))?;
    let claim = Claim::new(&parts.headers, &parts.uri, &body, &caller)?;
    if let Some(refused) = refused(&parts, &body, &caller, next.clone()).await {
        return Ok(refused);
    }
    match api.services.answers(&caller.actor).claim(claim.key, claim.request).await? {
        AnswerClaim::Claimed => {}
        AnswerClaim::Answered(answer) => return claim.repeat(&answer),
        AnswerClaim::Busy { request } => return claim.under_way(request),
    }
    let (answered, answer) = oneshot::channel();
    let place = parts.extensions.get::<Place>().cloned();
    let (api, request) = (api.clone(), Request::from_parts(parts, Body::from(body)));
    api.supervisor.clone().spawn("api.once", OnCancel::Finish, async move {
        // The request counts in its token's share until it is carried out, even if its caller has gone.
        let _until_it_is_done = place;
        let kept = keep(&api, &caller, claim, next.run(request).await).await;
        // The caller may have gone.
        let _ = answered.send(kept);
    });
    answer.await.unwrap_or_else(|_| Err(stopped()))
}

/// The answer to a caller who may not do this, who claims no key either. The handler opens its service before all else,
/// and with a probe that is all it does.
async fn refused(parts: &Parts, body: &Bytes, caller: &Caller, next: Next) -> Option<Response> {
    let probe = Probe::default();
    let mut parts = parts.clone();
    let actor = Actor { probe: Some(probe.clone()), ..caller.actor.clone() };
    parts.extensions.insert(Caller { actor, ..caller.clone() });
    // The request itself holds the place, not the probe.
    parts.extensions.remove::<Place>();
    let answer = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    (!probe.may()).then_some(answer)
}

/// Keeps an answer of success; frees the key otherwise, so that the corrected request may use it.
async fn keep(api: &Api, caller: &Caller, claim: Claim, response: Response) -> Result<Response, Problem> {
    let answers = api.services.answers(&caller.actor);
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        answers.free(claim.key, claim.request).await?;
        return Ok(Response::from_parts(parts, body));
    }
    let body = to_bytes(body, MAX_ANSWER_BYTES).await.map_err(|error| Problem::internal(&error))?;
    let sealed = claim.seal(&body)?;
    answers.keep(claim.key, claim.request, parts.status.as_u16(), &sealed).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Claim {
    fn new(headers: &HeaderMap, uri: &Uri, body: &Bytes, caller: &Caller) -> Result<Self, Problem> {
        let text = headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text.is_empty() || text.chars().count() > MAX_KEY_CHARS {
            return Err(Problem::parameter(
                "Idempotency-Key",
                format!("it must be 1 to {MAX_KEY_CHARS} ASCII characters"),
            ));
        }
        let mut key = blake3::Hasher::new_derive_key("postern 2026 idempotency key");
        key.update(caller.token.as_uuid().as_bytes()).update(text.as_bytes());
        let mut request = blake3::Hasher::new_derive_key("postern 2026 idempotent request");
        // The length of each part comes first, so that none passes for a part of another.
        let mut part = |part: &[u8]| {
            request.update(&(part.len() as u64).to_le_bytes()).update(part);
        };
        part(uri.path().as_bytes());
        part(uri.query().unwrap_or_default().as_bytes());
        part(&[u8::from(uri.query().is_some())]);
        headers.get_all(IF_MATCH).iter().for_each(|version| part(version.as_bytes()));
        part(body);
        let mut seal = blake3::Hasher::new_derive_key("postern 2026 idempotent answer");
        seal.update(bearer(headers).unwrap_or_default().as_bytes()).update(key.finalize().as_bytes());
        Ok(Self {
            key: *key.finalize().as_bytes(),
            request: *request.finalize().as_bytes(),
            seal: ChaCha20Poly1305::new(&Key::from(*seal.finalize().as_bytes())),
        })
    }

    fn same(&self, request: [u8; 32]) -> Result<(), Problem> {
        if request == self.request {
            return Ok(());
        }
        Err(Problem::new(Kind::IdempotencyMismatch, "This Idempotency-Key was used for another request.")
            .cure("Take a new key for a new request; repeat a key only with the same path, query, If-Match and body."))
    }

    fn under_way(&self, request: [u8; 32]) -> Result<Response, Problem> {
        self.same(request)?;
        let problem = Problem::new(Kind::Conflict, "The first request with this Idempotency-Key is still under way.")
            .cure("Repeat it in a few seconds.");
        Ok(([(RETRY_AFTER, RETRY_SECONDS)], problem).into_response())
    }

    fn repeat(&self, answer: &StoredAnswer) -> Result<Response, Problem> {
        self.same(answer.request)?;
        let body = self.open(&answer.body)?;
        let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (REPLAYED, HeaderValue::from_static("true")),
        ];
        Ok((status, headers, body).into_response())
    }

    /// Each seal is used for one answer of one request, so a fixed nonce is never used twice with other content; an
    /// answer made anew after a crash is put under a nonce of its own all the same.
    fn seal(&self, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let nonce: [u8; 12] = rand::random();
        let sealed = self.seal.encrypt(&Nonce::from(nonce), self.payload(body)).map_err(|_| broken())?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Problem> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or_else(broken)?;
        self.seal.decrypt(&Nonce::from(*nonce), self.payload(sealed)).map_err(|_| broken())
    }

    fn payload<'a>(&'a self, msg: &'a [u8]) -> Payload<'a, 'a> {
        Payload { msg, aad: &self.request }
    }
}

fn stopped() -> Problem {
    Problem::new(Kind::Unavailable, "The request was not carried out to its end; the log says why.")
        .cure("Repeat it in a minute, with the same Idempotency-Key.")
}

fn broken() -> Problem {
    Problem::internal(&std::io::Error::other("the kept answer of an Idempotency-Key cannot be opened"))
}

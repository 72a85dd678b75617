//! The API over HTTP, as the commands use it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{IF_MATCH, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use url::Url;
use uuid::Uuid;

use super::super::api::page::{Listing, MAX_LIMIT, Total};
use super::super::api::problem::Document;
use super::credentials::Credentials;
use super::error::Error;
use super::global::Global;
use super::list::Found;
use super::screen::note;

/// The default address of a control plane.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8080";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);
/// How often a POST is sent if the connection breaks; its Idempotency-Key ensures that it is carried out once.
const POST_ATTEMPTS: u32 = 3;
/// How long a patient request is sent again.
const PATIENCE: Duration = Duration::from_mins(5);
/// Pause before asking again for the result of an earlier attempt.
const UNDER_WAY_PAUSE: Duration = Duration::from_secs(1);

/// A control plane and its token.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

impl Client {
    /// The control plane that the flags, the environment or the remembered login name.
    pub(super) fn new(global: &Global) -> Result<Self, Error> {
        // With both given, the remembered login is not needed, and a damaged one is no obstacle.
        let said = global.url.is_some() && global.token.is_some();
        let remembered = if said { None } else { Credentials::load()? };
        let known = remembered.as_ref().map(|login| login.url.clone());
        let url = global.url.clone().or(known).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let base = parse_url(&url)?;
        // A remembered token is only sent to its own control plane.
        let fitting = remembered.filter(|login| parse_url(&login.url).is_ok_and(|known| known == base));
        let token = global.token.clone().or(fitting.map(|login| SecretString::from(login.token)));
        let token = token.ok_or(Error::NoToken { url })?;
        Self::with(global, base, token)
    }

    /// A client for a token that is not remembered yet.
    pub(super) fn with(global: &Global, base: Url, token: SecretString) -> Result<Self, Error> {
        if base.scheme() == "http" && !is_loopback(&base) {
            if !global.insecure_http {
                return Err(Error::Plain { url: base.to_string() });
            }
            note(format!("warning: {base} is not encrypted; others on the network can read the token"));
        }
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &global.ca_file {
            let wrong = |source: Box<dyn std::error::Error + Send + Sync>| Error::CaFile { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(|error| wrong(error.into()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.into()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|source| Error::Request { url: base.to_string(), source })?;
        Ok(Self { http, base, token })
    }

    /// The address of the control plane.
    pub(super) fn url(&self) -> String {
        self.base.to_string()
    }

    /// Reads a resource.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        read(self.send(self.request(Method::GET, path)?.query(query)).await?).await
    }

    /// Reads a list, page by page, until its end or `limit` items.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Found<T>, Error> {
        let (mut items, mut total): (Vec<T>, Option<Total>) = (Vec::new(), None);
        let mut cursor: Option<String> = None;
        loop {
            let wanted = limit.map_or(MAX_LIMIT as usize, |limit| (limit - items.len()).min(MAX_LIMIT as usize));
            let mut query = query.to_vec();
            query.push(("limit", wanted.to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Listing<T> = self.get(path, &query).await?;
            items.extend(page.items);
            total = total.or(page.total);
            cursor = page.next_cursor;
            if cursor.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                return Ok(Found { items, total, more: cursor.is_some() });
            }
        }
    }

    /// Creates or does something, once, even if the connection breaks before the answer.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.post_once(path, body, TIMEOUT, false).await
    }

    /// The same for a request that may take the control plane long: if it cannot answer now, it is asked again.
    pub(super) async fn post_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.post_once(path, body, PATIENCE, true).await
    }

    async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
        again: bool,
    ) -> Result<T, Error> {
        let key = Uuid::now_v7().to_string();
        let (mut attempt, began) = (1, Instant::now());
        loop {
            let request = self.request(Method::POST, path)?.header("Idempotency-Key", &key).json(body);
            match self.answer(request).await {
                Err(Error::Request { .. }) if attempt < POST_ATTEMPTS => attempt += 1,
                // The earlier attempt is still being carried out.
                Ok(answer) if is_under_way(&answer) && began.elapsed() < patience => sleep(UNDER_WAY_PAUSE).await,
                Ok(answer) if again && is_unavailable(&answer) && began.elapsed() < patience => {
                    sleep(UNDER_WAY_PAUSE).await;
                }
                Ok(answer) if !answer.status().is_success() => return Err(refused(answer).await),
                answer => return read(answer?).await,
            }
        }
    }

    /// Replaces a resource, if it is still this version. `None`: any.
    pub(super) async fn replace<T: DeserializeOwned>(
        &self,
        path: &str,
        version: Option<u32>,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let mut request = self.request(Method::PUT, path)?.json(body);
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        read(self.send(request).await?).await
    }

    /// Changes a resource.
    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        read(self.send(self.request(Method::PATCH, path)?.json(body)).await?).await
    }

    /// Deletes a resource.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, path)?).await.map(drop)
    }

    /// Deletes a resource, and reads the answer.
    pub(super) async fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(self.send(self.request(Method::DELETE, path)?).await?).await
    }

    /// Deletes a resource, and reads the answer where there is one.
    pub(super) async fn delete_and_read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let response = self.send(self.request(Method::DELETE, path)?).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    /// Opens a file that is too long for the usual time.
    pub(super) async fn download(&self, path: &str, query: &[(&str, String)]) -> Result<Response, Error> {
        self.send(self.request(Method::GET, path)?.query(query).timeout(Duration::from_hours(24))).await
    }

    /// The next part of an answer. `None`: that was all.
    pub(super) async fn chunk(&self, answer: &mut Response) -> Result<Option<Bytes>, Error> {
        let url = answer.url().to_string();
        answer.chunk().await.map_err(|source| Error::Request { url, source: source.without_url() })
    }

    /// Opens a stream of server-sent events, without a timeout.
    pub(super) async fn events(&self, path: &str) -> Result<Response, Error> {
        let request = self.request(Method::GET, path)?.timeout(Duration::from_hours(24));
        self.send(request.header("Accept", "text/event-stream")).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        // Names in the path are encoded already (`Name`).
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/api/v1/{path}"));
        let url = url.map_err(|_| Error::Url { text: self.base.to_string() })?;
        Ok(self.http.request(method, url).timeout(TIMEOUT).bearer_auth(self.token.expose_secret()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = self.answer(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }

    /// The answer, with any status.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|source| unanswered(self.base.to_string(), source))
    }
}

/// Whether an earlier request with the same key is still being carried out.
fn is_under_way(answer: &Response) -> bool {
    answer.status() == StatusCode::CONFLICT && answer.headers().contains_key(RETRY_AFTER)
}

/// Whether a later attempt may succeed.
fn is_unavailable(answer: &Response) -> bool {
    answer.status() == StatusCode::SERVICE_UNAVAILABLE
}

/// The address of a control plane.
pub(super) fn parse_url(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.filter(|url| url.query().is_none() && url.username().is_empty());
    url.ok_or_else(|| Error::Url { text: text.to_owned() })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Explains a request without an answer.
fn unanswered(url: String, source: reqwest::Error) -> Error {
    match tls_failure(&source) {
        Some(rustls::Error::InvalidCertificate(reason)) => Error::Untrusted { url, reason: reason.clone() },
        Some(failure) => Error::NoTls { url, source: failure.clone() },
        None if source.is_connect() => Error::Unreachable { url, source },
        None => Error::Request { url, source: source.without_url() },
    }
}

/// The TLS library's error, which is nested in others.
fn tls_failure<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    // `source()` of an I/O error skips the error that it holds.
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inside = inside.map(|inside| inside as &(dyn std::error::Error + 'static));
    error.downcast_ref().or_else(|| tls_failure(inside.or_else(|| error.source())?))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let url = response.url().to_string();
    response.json().await.map_err(|source| Error::Request { url, source: source.without_url() })
}

async fn refused(response: Response) -> Error {
    let (url, status) = (response.url().to_string(), response.status());
    match response.json::<Document>().await {
        Ok(document) => Error::Refused(Box::new(document)),
        Err(_) if status == StatusCode::UNAUTHORIZED => Error::NoToken { url },
        Err(_) => Error::Foreign { url, status: status.as_u16() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_control_planes_are_taken() {
        for good in ["http://127.0.0.1:8080", "https://postern.example.com/", "https://example.com/postern"] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in ["postern.example.com", "ftp://x", "https://user@x", "https://x/?a=b", ""] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_goes_over_http_only_to_this_machine_unless_allowed() {
        postern_runtime::tls::install_crypto_provider();
        let global = |insecure_http| Global { url: None, token: None, ca_file: None, insecure_http, json: false };
        let made = |url: &str, insecure| Client::with(&global(insecure), parse_url(url).unwrap(), "pst_x".into());
        for (url, insecure, goes) in [
            ("http://10.0.0.1:8080", false, false),
            ("http://postern.example.com", false, false),
            ("http://localhost.example.com", false, false),
            ("http://10.0.0.1:8080", true, true),
            ("http://127.0.0.1:8080", false, true),
            ("https://postern.example.com", false, true),
        ] {
            let client = made(url, insecure);
            assert_eq!(client.is_ok(), goes, "{url}");
            if let Err(error) = client {
                assert!(error.to_string().contains("--insecure-http") && error.exit_code() == 64, "{error}");
            }
        }
    }

    #[test]
    fn a_failure_of_tls_is_found_however_deep_it_is() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let nested = std::io::Error::other(std::io::Error::other(unknown.clone()));
        assert_eq!(tls_failure(&nested), Some(&unknown));
        assert_eq!(tls_failure(&std::io::Error::other("refused")), None);
    }

    #[test]
    fn loopback_needs_no_encryption() {
        let loopback = |text: &str| is_loopback(&parse_url(text).unwrap());
        assert!(loopback("http://127.0.0.1:1") && loopback("http://[::1]:1") && loopback("http://localhost"));
        assert!(!loopback("http://10.0.0.1") && !loopback("http://localhost.example"));
    }
}

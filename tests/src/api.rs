//! A client of the control plane's REST interface, as a customer would write it: JSON in, JSON out, nothing shared
//! with the server's code.

mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wait;

/// The interface with one organization's token.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// A job as the interface shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// queued, waiting, running, held, succeeded, failed or canceled.
    pub state: String,
    /// What came of it.
    #[serde(default)]
    pub result: Value,
    /// Why it failed.
    #[serde(default)]
    pub error: Value,
    /// Why it was held.
    #[serde(default)]
    pub hold: Value,
    /// How far it has come.
    #[serde(default)]
    pub progress: Value,
    /// What it waits for.
    pub message: Option<String>,
    /// When it was asked for.
    pub created_at: jiff::Timestamp,
    /// When it was over.
    pub finished_at: Option<jiff::Timestamp>,
}

impl Job {
    /// From the request to the end. Whoever asks again and again until it is over learns it some time later.
    pub fn took(&self) -> Option<Duration> {
        self.finished_at.map(|end| end.duration_since(self.created_at).unsigned_abs())
    }

    /// Nothing more will happen by itself.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "canceled" | "held")
    }

    /// A number of its result; 0 when it is not there.
    pub fn count(&self, name: &str) -> u64 {
        self.result[name].as_u64().unwrap_or(0)
    }

    /// The error's code; empty when there is none.
    pub fn error_code(&self) -> &str {
        self.error["code"].as_str().unwrap_or_default()
    }

    /// Fails, with everything the job says, unless it is in this state.
    pub fn expect(self, state: &str) -> Result<Self> {
        ensure!(self.state == state, "job is {}, not {state}: {self:#?}", self.state);
        Ok(self)
    }
}

/// An account as the interface shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The directory's immutable id of the entry.
    pub external_id: String,
    /// Distinguished name.
    pub dn: String,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Vec<AttributeValue>>,
    /// When it was found missing.
    pub missing_since: Option<String>,
    /// The user that it belongs to.
    pub user_id: Option<String>,
    /// The group that it belongs to.
    pub group_id: Option<String>,
    /// Why it has no user.
    pub conflict: Option<String>,
}

/// A value: text, or bytes that are none.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum AttributeValue {
    /// UTF-8 text.
    Text(String),
    /// Anything else.
    Bytes {
        /// Its bytes.
        base64: String,
    },
}

impl AttributeValue {
    /// The value's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Bytes { base64 } => Ok(base64::engine::general_purpose::STANDARD.decode(base64)?),
        }
    }
}

/// A user as the interface shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Its id.
    pub id: String,
    /// Unique name.
    pub user_name: String,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// Name as people write it.
    pub display_name: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// May sign in.
    pub active: bool,
    /// Since when no directory has the user any more.
    pub missing_since: Option<String>,
}

/// A group as the interface shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub display_name: String,
    /// Since when no directory has it any more.
    pub missing_since: Option<String>,
}

/// A member of a group.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// user, group or unresolved.
    pub kind: String,
    /// Its id; none when it is unresolved.
    pub id: Option<String>,
    /// The member as the directory names it, normalized.
    pub key: String,
    /// A user's unique name.
    pub user_name: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

fn client() -> reqwest::ClientBuilder {
    // Another one may have been installed before.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30))
}

impl Api {
    /// A client for the server at `url` with an API token.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        Ok(Self { client: client().build()?, url: url.to_owned(), token: token.to_owned() })
    }

    /// The same for a server whose certificate comes from this authority (PEM), which alone is trusted.
    pub fn trusting(url: &str, token: &str, ca_file: &Path) -> Result<Self> {
        let pem = std::fs::read(ca_file).with_context(|| format!("cannot read {}", ca_file.display()))?;
        let client = client().tls_certs_only([reqwest::Certificate::from_pem(&pem)?]).build()?;
        Ok(Self { client, url: url.to_owned(), token: token.to_owned() })
    }

    /// The API token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// One request; whatever the status, with the answer's JSON (null when there is none).
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("no answer to {path}"))?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("no whole answer to {path}"))?;
        let value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok((status, value))
    }

    async fn demand(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, value) = self.send(method.clone(), path, body).await?;
        ensure!(status.is_success(), "{method} {path} was answered {status}: {value}");
        Ok(value)
    }

    /// GET; anything but success is an error.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.demand(Method::GET, path, None).await
    }

    /// POST; anything but success is an error.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.demand(Method::POST, path, Some(&body)).await
    }

    /// PATCH; anything but success is an error.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Value> {
        self.demand(Method::PATCH, path, Some(&body)).await
    }

    /// PUT; anything but success is an error.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.demand(Method::PUT, path, Some(body)).await
    }

    /// DELETE; anything but success is an error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.demand(Method::DELETE, path, None).await.map(drop)
    }

    /// All items of a list, page by page.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let glue = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let value = self.get(&format!("{path}{glue}limit=1000{cursor}")).await?;
            let page: Page<T> = serde_json::from_value(value).with_context(|| format!("unexpected shape of {path}"))?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Makes an enrollment token.
    pub async fn enrollment_token(&self) -> Result<String> {
        let made = self.post("/api/v1/enrollment-tokens", json!({})).await?;
        made["token"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("no token in {made}"))
    }

    /// The same, for an agent that may serve these directories, whether they exist or not.
    pub async fn enrollment_token_for(&self, directories: &[&str]) -> Result<String> {
        let made = self.post("/api/v1/enrollment-tokens", json!({ "directories": directories })).await?;
        made["token"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("no token in {made}"))
    }

    /// Waits until an agent has announced a directory, and returns the directory.
    pub async fn directory(&self, name: &str) -> Result<Value> {
        wait::until(&format!("directory {name} appears"), wait::SOON, || async {
            let all: Vec<Value> = self.list("/api/v1/directories").await?;
            Ok(all.into_iter().find(|directory| directory["name"] == name))
        })
        .await
    }

    /// Starts a job on a directory, with further fields of the request.
    pub async fn start_job(&self, kind: &str, directory: &str, further: Value) -> Result<Job> {
        let mut body = json!({ "kind": kind, "directory": directory });
        if let (Some(body), Value::Object(mut further)) = (body.as_object_mut(), further) {
            for common in ["deadline", "timeout_seconds"] {
                body.extend(further.remove_entry(common));
            }
            body.insert("input".to_owned(), Value::Object(further));
        }
        Ok(serde_json::from_value(self.post("/api/v1/jobs", body).await?)?)
    }

    /// A job as it stands.
    pub async fn job(&self, id: &str) -> Result<Job> {
        Ok(serde_json::from_value(self.get(&format!("/api/v1/jobs/{id}")).await?)?)
    }

    /// Follows a job's events until the stream ends, and returns the job of each event.
    pub async fn follow(&self, id: &str) -> Result<Vec<Job>> {
        let request = self.client.get(format!("{}/api/v1/jobs/{id}/events", self.url)).bearer_auth(&self.token);
        let stream = request.timeout(Duration::from_mins(2)).send().await?.error_for_status()?.text().await?;
        let told = stream.lines().filter_map(|line| line.strip_prefix("data:"));
        told.map(|job| serde_json::from_str(job).with_context(|| format!("an event that is no job: {job}"))).collect()
    }

    /// Waits until a job is over (succeeded, failed, canceled or held), through outages of the control plane.
    pub async fn finished(&self, id: &str, bound: Duration) -> Result<Job> {
        let last = std::sync::Mutex::new(None);
        let over = wait::until("the job is over", bound, || async {
            let job = self.job(id).await?;
            if job.is_over() {
                return Ok(Some(job));
            }
            if let Ok(mut last) = last.lock() {
                *last = Some(job);
            }
            Ok(None)
        });
        let over = over.await;
        let last = last.into_inner().ok().flatten();
        over.with_context(|| format!("it was last seen as {last:#?}"))
    }

    /// Starts an import and waits until it is over.
    pub async fn try_import(&self, directory: &str) -> Result<Job> {
        let job = self.start_job("import", directory, Value::Null).await?;
        self.finished(&job.id, Duration::from_mins(2)).await
    }

    /// Imports a directory; anything but success is an error.
    pub async fn import(&self, directory: &str) -> Result<Job> {
        self.try_import(directory).await?.expect("succeeded")
    }

    /// Approves or rejects a held job (`approve`, `reject`), or cancels one (`cancel`).
    pub async fn decide(&self, id: &str, decision: &str) -> Result<()> {
        self.post(&format!("/api/v1/jobs/{id}/{decision}"), json!({})).await.map(drop)
    }

    /// The newest entry of the audit log about an action.
    pub async fn audited(&self, action: &str) -> Result<Value> {
        let log = self.get(&format!("/api/v1/audit?action={action}&limit=1")).await?;
        log["items"].get(0).cloned().with_context(|| format!("{action} is not in the audit log"))
    }

    /// All accounts of a kind (`user`, `group`) in a directory.
    pub async fn accounts(&self, directory: &str, kind: &str) -> Result<Vec<Account>> {
        self.list(&format!("/api/v1/accounts?directory={directory}&kind={kind}")).await
    }

    /// All users.
    pub async fn users(&self) -> Result<Vec<User>> {
        self.list("/api/v1/users").await
    }

    /// The names of the users who may sign in.
    pub async fn active(&self) -> Result<BTreeSet<String>> {
        let users: Vec<User> = self.list("/api/v1/users?active=true").await?;
        Ok(users.into_iter().map(|user| user.user_name).collect())
    }

    /// The names of the users who may not.
    pub async fn inactive(&self) -> Result<BTreeSet<String>> {
        let users: Vec<User> = self.list("/api/v1/users?active=false").await?;
        Ok(users.into_iter().map(|user| user.user_name).collect())
    }

    /// All groups.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        self.list("/api/v1/groups").await
    }

    /// A group of this name.
    pub async fn group(&self, name: &str) -> Result<Group> {
        let groups = self.groups().await?;
        groups.into_iter().find(|group| group.display_name == name).ok_or_else(|| anyhow!("no group {name}"))
    }

    /// All members of a group.
    pub async fn members(&self, group: &Group) -> Result<Vec<Member>> {
        self.list(&format!("/api/v1/groups/{}/members", group.id)).await
    }

    /// The agents, as the interface shows them.
    pub async fn agents(&self) -> Result<Vec<Value>> {
        self.list("/api/v1/agents").await
    }

    /// The one agent of an organization that has one.
    pub async fn only_agent(&self) -> Result<String> {
        let agents = self.agents().await?;
        match agents.as_slice() {
            [agent] => agent["id"].as_str().map(str::to_owned).context("agent without id"),
            _ => bail!("{} agents instead of one", agents.len()),
        }
    }
}

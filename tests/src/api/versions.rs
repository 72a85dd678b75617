//! Changes that are based on a version: they are refused if somebody else was quicker.

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::Value;

use super::Api;

impl Api {
    /// The version of a resource (`ETag`), on which a change can be based.
    pub async fn version(&self, path: &str) -> Result<String> {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        let version = answer.headers().get("etag").context("no version")?;
        Ok(version.to_str()?.to_owned())
    }

    /// PATCH of a version; whatever the status, with the answer's JSON.
    pub async fn patch_version(&self, path: &str, version: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let request = self.client.patch(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.header("if-match", version).json(body).send().await?;
        let status = answer.status();
        Ok((status, answer.json().await?))
    }
}

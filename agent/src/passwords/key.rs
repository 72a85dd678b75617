//! The key that passwords are sealed to, in a file of its own beside the identity.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use postern_proto::sealed::SecretKey;
use postern_runtime::secret;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::identity::AgentId;

const FILE: &str = "password-key.json";
/// A start of the agent replaces an older key.
const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Serialize, Deserialize)]
struct Stored {
    agent_id: AgentId,
    made_at: Timestamp,
    private_key: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}

/// The key in this folder. A new one replaces what is missing, damaged, readable for others, old, or of another agent;
/// and any if `replace`.
pub(super) fn load(folder: &Path, agent: AgentId, replace: bool, now: Timestamp) -> Result<SecretKey, secret::Error> {
    let path = folder.join(FILE);
    let known = match path.try_exists() {
        Ok(false) => None,
        _ => secret::read_private(&path).ok().and_then(|text| read(text.expose_secret(), agent, now)),
    };
    if let Some(key) = known.filter(|_| !replace) {
        return Ok(key);
    }
    let key = SecretKey::generate();
    let stored = Stored { agent_id: agent, made_at: now, private_key: STANDARD.encode(&*key.to_bytes()) };
    let text = Zeroizing::new(serde_json::to_vec_pretty(&stored).unwrap_or_default());
    secret::write_private(&path, &text)?;
    tracing::info!(key = %key.public().id(), "passwords.new_key");
    Ok(key)
}

fn read(text: &str, agent: AgentId, now: Timestamp) -> Option<SecretKey> {
    let stored: Stored = serde_json::from_str(text).ok()?;
    let age = now.duration_since(stored.made_at);
    if stored.agent_id != agent || age > LIFETIME {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(&stored.private_key).ok()?);
    SecretKey::from_bytes(&bytes).ok()
}

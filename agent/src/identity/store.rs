//! The identity on disk: one file, so that key, certificate and authorities change together or not at all.

use std::io;
use std::path::{Path, PathBuf};

use postern_platform::files;
use postern_runtime::{ownership, secret};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::proven::{self, AgentId, Identity, IdentityParts};

const FILE: &str = "identity.json";
const PROBE: &str = ".writable";

/// What is wrong with the stored identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("this agent is not enrolled ({path} does not exist); run: postern-agent enroll --token TOKEN")]
    NotEnrolled {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read this agent's identity")]
    Read(#[source] secret::Error),
    /// The file is not what it should be.
    #[error("{path} is damaged; enroll again with a new token and --force")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// What it holds cannot be used.
    #[error("{path} cannot be used; enroll again with a new token and --force")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: proven::Error,
    },
    /// The state directory cannot be made.
    #[error("cannot make or use the state directory {path}; run this as the user that the agent runs as")]
    Folder {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state directory or the file belongs to another user, or leads elsewhere.
    #[error("the state directory is not safe to use")]
    Ownership(#[source] ownership::Error),
    /// The file cannot be written.
    #[error("cannot store this agent's identity; run this as the user that the agent runs as")]
    Write(#[source] secret::Error),
    /// The identity cannot be put into text.
    #[error("cannot encode this agent's identity")]
    Encode(#[source] serde_json::Error),
}

/// Where the identity is kept.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    agent_id: AgentId,
    address: String,
    private_key_pem: String,
    certificate_chain_pem: String,
    ca_bundle_pem: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.private_key_pem.zeroize();
    }
}

impl IdentityStore {
    /// The identity in the state directory `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The state directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is an identity, usable or not.
    pub fn exists(&self) -> bool {
        !matches!(self.path().try_exists(), Ok(false))
    }

    /// Refuses a state directory, or an identity in it, that belongs to another user. Call it before writing there.
    pub fn check_ownership(&self) -> Result<(), Error> {
        ownership::check_folder(&self.folder).map_err(Error::Ownership)?;
        ownership::check_file(&self.path()).map_err(Error::Ownership)
    }

    /// Reads the identity, and refuses a file that others can read.
    pub fn load(&self) -> Result<Identity, Error> {
        let path = self.path();
        // Only if it certainly does not exist: without access to the folder, reading reports the error.
        if matches!(path.try_exists(), Ok(false)) {
            return Err(Error::NotEnrolled { path });
        }
        let text = secret::read_private(&path).map_err(Error::Read)?;
        let parsed = serde_json::from_str::<Stored>(text.expose_secret());
        let stored = parsed.map_err(|source| Error::Damaged { path: path.clone(), source })?;
        let parts = IdentityParts {
            agent_id: stored.agent_id,
            address: stored.address.clone(),
            private_key_pem: SecretString::from(stored.private_key_pem.as_str()),
            certificate_chain_pem: stored.certificate_chain_pem.clone(),
            ca_bundle_pem: stored.ca_bundle_pem.clone(),
        };
        Identity::new(parts).map_err(|source| Error::Unusable { path, source })
    }

    /// Replaces the identity, atomically and privately.
    pub fn save(&self, identity: &Identity) -> Result<(), Error> {
        self.prepare()?;
        let parts = identity.parts();
        let stored = Stored {
            agent_id: parts.agent_id,
            address: parts.address.clone(),
            private_key_pem: parts.private_key_pem.expose_secret().to_owned(),
            certificate_chain_pem: parts.certificate_chain_pem.clone(),
            ca_bundle_pem: parts.ca_bundle_pem.clone(),
        };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&stored).map_err(Error::Encode)?);
        secret::write_private(&self.path(), &text).map_err(Error::Write)
    }

    /// Makes the state directory where it is missing, and proves that it can be written to: a wrong place shows before a
    /// one-time token is spent.
    pub fn prove(&self) -> Result<(), Error> {
        self.prepare()?;
        let probe = self.folder.join(PROBE);
        secret::write_private(&probe, b"").map_err(Error::Write)?;
        std::fs::remove_file(&probe).map_err(|source| Error::Folder { path: self.folder.clone(), source })
    }

    /// Makes the state directory, for its owner only, where it is missing.
    fn prepare(&self) -> Result<(), Error> {
        let failed = |source| Error::Folder { path: self.folder.clone(), source };
        files::private_folder(&self.folder).map_err(failed)?;
        self.check_ownership()
    }
}

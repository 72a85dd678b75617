//! Passwords that clients have sealed to this agent's key: each is opened once, for the user, the directory and the time
//! that it is bound to.

mod key;
mod used;

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use postern_proto::sealed::{self, Binding, Header, SecretKey};
use postern_runtime::supervise::chain;
use secrecy::SecretString;

use self::used::{Ids, Seen};
use crate::command::CommandId;
use crate::failure::{Class, Code, Failure};
use crate::identity::AgentId;

/// No sealed password may be good for longer; so long its id is kept.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
const AGAIN: &str = "set the password again";

/// The key of this agent, and the ids that it has opened.
pub struct Passwords {
    key: SecretKey,
    ids: Mutex<Ids>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a command about a sealed password has to do.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Set this password. The id is to be named once that is done.
    Password(SecretString, [u8; 16]),
    /// Nothing: the same command has set it before.
    DoneBefore,
}

impl Passwords {
    /// Reads the key and the ids from the state directory. A key that is missing, old, damaged, or another agent's, is
    /// replaced. `None`: nothing can be stored there, and this agent opens no passwords.
    pub fn stored(folder: &Path, agent: AgentId, now: Timestamp) -> Option<Self> {
        let (ids, lost) = match Ids::read(folder, now) {
            Ok(ids) => (ids, false),
            Err(error) => {
                tracing::warn!(error = chain(&error), "passwords.ids_lost: a new key makes the old ones useless");
                (Ids::empty(folder), true)
            }
        };
        match key::load(folder, agent, lost, now) {
            Ok(key) => Some(Self { key, ids: Mutex::new(ids) }),
            Err(error) => {
                tracing::error!(error = chain(&error), "passwords.no_key: this agent cannot set passwords");
                None
            }
        }
    }

    /// With a new key, and nothing on disk.
    pub fn in_memory() -> Self {
        Self { key: SecretKey::generate(), ids: Mutex::new(Ids::in_memory()) }
    }

    /// The key that passwords are sealed to.
    pub fn public_key(&self) -> Bytes {
        self.key.public().to_bytes().into()
    }

    /// Opens a sealed password for a command. Its id counts as used from now on, also after a restart.
    pub(crate) fn open(
        &self,
        sealed: &[u8],
        binding: &Binding<'_>,
        command: CommandId,
        now: Timestamp,
    ) -> Result<Opened, Failure> {
        let password = sealed::open(sealed, &self.key, binding).map_err(refused)?;
        let header = Header::read(sealed).map_err(refused)?;
        let expires = i64::try_from(header.expires_at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(expires) = expires.filter(|expires| expires.duration_since(now) <= LONGEST) else {
            return Err(invalid("the sealed password would be good for longer than an hour").cured_by(
                "set the password again; if this goes on, correct the clock of the agent's machine, or of yours",
            ));
        };
        if expires <= now {
            let message = format!("the sealed password expired at {expires}, and the agent's clock says {now}");
            return Err(invalid(message).cured_by(
                "set the password again; if it expires at once, correct the clock of the agent's machine, or of yours",
            ));
        }
        match self.ids().begin(header.id, command, expires, now).map_err(|error| storing(&error))? {
            Seen::First | Seen::Begun => Ok(Opened::Password(SecretString::from(password.as_str()), header.id)),
            Seen::Done => Ok(Opened::DoneBefore),
            Seen::Elsewhere => {
                Err(invalid("this sealed password was used before; each is good for one change").cured_by(AGAIN))
            }
        }
    }

    /// Notes that the password with this id is set.
    pub(crate) fn done(&self, id: [u8; 16]) {
        if let Err(error) = self.ids().finish(id) {
            // At worst the same command sets the same password again.
            tracing::warn!(error = chain(&error), "passwords.not_noted");
        }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Code::Invalid, message)
}

fn refused(error: sealed::Error) -> Failure {
    let cure = match error {
        sealed::Error::OtherKey => "the agent has a new key; set the password again",
        sealed::Error::Version(_) => "update the older of the two programs",
        _ => AGAIN,
    };
    invalid(error.to_string()).cured_by(cure)
}

fn storing(error: &used::Error) -> Failure {
    tracing::error!(error = chain(error), "passwords.not_stored");
    Failure::new(Class::Internal, "the agent cannot note that it has opened a password, and so does not open it")
        .cured_by("look at the agent's log, and make its state directory writable")
}

#[cfg(test)]
mod tests;

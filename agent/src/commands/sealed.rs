//! A password that a client has sealed to this agent's key. It is opened only when it is set.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use postern_proto::sealed::{Binding, MAX_SEALED_BYTES};
use postern_proto::v1;

use super::entries::{subject, wrong};
use super::kind::Work;
use crate::failure::{Code, Failure};
use crate::passwords::{Opened, Passwords};
use crate::served::{Phase, write};

/// A password that is still sealed.
pub(super) struct Sealed {
    subject: write::Subject,
    external_id: String,
    bytes: Bytes,
    must_change: bool,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A password that is being set.
pub(super) struct Setting {
    passwords: Arc<Passwords>,
    id: [u8; 16],
}

impl Setting {
    /// The password is set: the same command need not set it again.
    pub(super) fn done(self) {
        self.passwords.done(self.id);
    }
}

impl Sealed {
    /// Reads it, and checks what needs no key.
    pub(super) fn read(
        wanted: &v1::SetPassword,
        kind: v1::EntryKind,
        entry: Option<&v1::EntryReference>,
    ) -> Result<Self, Failure> {
        if kind != v1::EntryKind::User {
            return Err(wrong("only users have passwords"));
        }
        if wanted.sealed.is_empty() || wanted.sealed.len() > MAX_SEALED_BYTES {
            return Err(wrong("the sealed password is missing, or too long"));
        }
        let subject = entry.map(subject).transpose()?.unwrap_or_default();
        let Some(external_id) = subject.external_id.clone() else {
            return Err(wrong("a password is set for a user with an external id"));
        };
        Ok(Self { subject, external_id, bytes: wanted.sealed.clone(), must_change: wanted.must_change })
    }

    /// Opens it. `None`: this command has set it before.
    pub(super) fn open(&self, work: &Work) -> Result<Option<(write::Operation, Setting)>, Failure> {
        let Some(passwords) = &work.context.passwords else {
            return Err(Failure::new(Code::Unsupported, "this agent has no key for passwords")
                .cured_by("look at the agent's log, and make its state directory writable"));
        };
        let must_change = self.must_change;
        let binding = Binding { directory: work.directory.name(), external_id: &self.external_id, must_change };
        match passwords.open(&self.bytes, &binding, work.key.id, work.context.clock.now())? {
            Opened::DoneBefore => Ok(None),
            Opened::Password(password, id) => {
                let change = write::Change::SetPassword(write::NewPassword { password, must_change });
                let operation = write::Operation { phase: Phase::Users, subject: self.subject.clone(), change };
                Ok(Some((operation, Setting { passwords: Arc::clone(passwords), id })))
            }
        }
    }
}

//! The ids of sealed passwords that were opened, until they have expired: in memory, and in a file that survives a
//! restart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use postern_runtime::secret;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::command::CommandId;

const FILE: &str = "passwords-used";
/// So many can be remembered. More are refused, because one that is forgotten could be used twice.
const MOST: usize = 4_000;
/// Remembered for so long after the expiry, should the clock be set back.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot use the list of opened passwords")]
    File(#[source] secret::Error),
    #[error("{0} is damaged")]
    Damaged(PathBuf),
    #[error("{MOST} passwords were set within two hours; more are not remembered")]
    Full,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing, until now.
    First,
    /// The same command has begun with it.
    Begun,
    /// The same command has set the password.
    Done,
    /// Another command has used it.
    Elsewhere,
}

#[derive(Debug)]
struct Use {
    command: CommandId,
    expires: Timestamp,
    done: bool,
}

/// The ids.
#[derive(Debug)]
pub(super) struct Ids {
    path: Option<PathBuf>,
    used: BTreeMap<[u8; 16], Use>,
}

impl Ids {
    pub(super) fn in_memory() -> Self {
        Self { path: None, used: BTreeMap::new() }
    }

    pub(super) fn empty(folder: &Path) -> Self {
        Self { path: Some(folder.join(FILE)), used: BTreeMap::new() }
    }

    /// Reads the file; one that does not exist names no id.
    pub(super) fn read(folder: &Path, now: Timestamp) -> Result<Self, Error> {
        let mut ids = Self::empty(folder);
        let path = folder.join(FILE);
        if !matches!(path.try_exists(), Ok(false)) {
            let text = secret::read_private(&path).map_err(Error::File)?;
            for line in text.expose_secret().lines() {
                let (id, used) = parse(line).ok_or_else(|| Error::Damaged(path.clone()))?;
                ids.used.insert(id, used);
            }
        }
        ids.forget(now);
        Ok(ids)
    }

    /// Notes that a command uses an id.
    pub(super) fn begin(
        &mut self,
        id: [u8; 16],
        command: CommandId,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Seen, Error> {
        self.forget(now);
        match self.used.get(&id) {
            Some(known) if known.command != command => return Ok(Seen::Elsewhere),
            Some(known) => return Ok(if known.done { Seen::Done } else { Seen::Begun }),
            None if self.used.len() >= MOST => return Err(Error::Full),
            None => {}
        }
        self.used.insert(id, Use { command, expires, done: false });
        match self.write() {
            Ok(()) => Ok(Seen::First),
            Err(error) => {
                self.used.remove(&id);
                Err(error)
            }
        }
    }

    /// Notes that the password is set.
    pub(super) fn finish(&mut self, id: [u8; 16]) -> Result<(), Error> {
        let Some(known) = self.used.get_mut(&id) else { return Ok(()) };
        known.done = true;
        self.write()
    }

    fn forget(&mut self, now: Timestamp) {
        self.used.retain(|_, known| now.duration_since(known.expires) < MARGIN);
    }

    fn write(&self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut text = String::with_capacity(self.used.len() * 96);
        for (id, known) in &self.used {
            let state = if known.done { "done" } else { "begun" };
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "{} {} {} {state}",
                Uuid::from_bytes(*id).simple(),
                known.expires.as_millisecond(),
                known.command
            );
        }
        secret::write_private(path, text.as_bytes()).map_err(Error::File)
    }
}

fn parse(line: &str) -> Option<([u8; 16], Use)> {
    let mut words = line.split(' ');
    let id = words.next()?.parse::<Uuid>().ok()?.into_bytes();
    let expires = Timestamp::from_millisecond(words.next()?.parse().ok()?).ok()?;
    let command = CommandId(words.next()?.parse().ok()?);
    let done = match words.next()? {
        "done" => true,
        "begun" => false,
        _ => return None,
    };
    words.next().is_none().then_some((id, Use { command, expires, done }))
}

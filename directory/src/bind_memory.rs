//! What refused binds have left behind, for all directories of an agent and across its restarts: a directory that locks
//! accounts goes on counting when the agent starts anew. A small file in the state folder keeps a keyed hash of each
//! refused name, password and server, and no secret.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_platform::files;
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::config::Credentials;

/// More are not remembered; the oldest go first.
const MAX_RECORDS: usize = 256;
/// More bytes than so many records take.
const MAX_FILE_BYTES: u64 = 128 * 1024;
const MAX_CAUSE_CHARS: usize = 200;

/// A keyed hash of credentials and a server.
pub(crate) type Fingerprint = [u8; 16];

/// One name and password at one server.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Refused {
    /// Wrong passwords in a row.
    pub(crate) failures: u32,
    /// When the last one was, seconds since 1970.
    pub(crate) last: u64,
    /// No bind before this, seconds since 1970; 0: now.
    pub(crate) blocked_until: u64,
    /// Why, in words fit to leave the site.
    pub(crate) cause: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Records {
    key: [u8; 32],
    refused: BTreeMap<Fingerprint, Refused>,
}

/// The memory of refused binds.
#[derive(Debug)]
pub struct BindMemory {
    file: Option<PathBuf>,
    records: Mutex<Records>,
    complained: AtomicBool,
    started: (SystemTime, Instant),
}

impl Default for BindMemory {
    fn default() -> Self {
        Self::new(None)
    }
}

impl BindMemory {
    /// Remembers in this file, and in the process alone where the file cannot be used.
    pub fn in_file(path: &Path) -> Self {
        Self::new(Some(path.to_owned()))
    }

    fn new(file: Option<PathBuf>) -> Self {
        let records = Mutex::new(Records { key: fresh_key(), refused: BTreeMap::new() });
        Self { file, records, complained: AtomicBool::new(false), started: (SystemTime::now(), Instant::now()) }
    }

    /// An administrator says that the cause may be gone: each name and password may be tried once more.
    pub fn allow_one_more_try(&self) {
        self.with(|records| {
            for refused in records.values_mut() {
                refused.blocked_until = 0;
                refused.last = 0;
            }
        });
    }

    /// Seconds since 1970. They pass as the runtime's clock does.
    pub(crate) fn now(&self) -> u64 {
        let (wall, instant) = self.started;
        (wall + instant.elapsed()).duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
    }

    /// What is remembered of these credentials at each of these servers.
    pub(crate) fn recall(&self, urls: &[String], credentials: &Credentials) -> Vec<Refused> {
        self.locked(|records| {
            let found = urls.iter().filter_map(|url| records.refused.get(&fingerprint(&records.key, url, credentials)));
            found.cloned().collect()
        })
    }

    /// Changes what is remembered of these credentials at each of these servers; a default record is forgotten.
    pub(crate) fn change(&self, urls: &[String], credentials: &Credentials, change: impl Fn(&mut Refused)) {
        self.locked(|records| {
            for url in urls {
                let name = fingerprint(&records.key, url, credentials);
                let mut refused = records.refused.remove(&name).unwrap_or_default();
                change(&mut refused);
                if refused != Refused::default() {
                    records.refused.insert(name, refused);
                }
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut BTreeMap<Fingerprint, Refused>)) {
        self.locked(|records| change(&mut records.refused));
    }

    /// Works on the records as they stand in the file, which another process of this site may have changed.
    fn locked<T>(&self, work: impl FnOnce(&mut Records) -> T) -> T {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.file.as_deref().and_then(|path| {
            let opened = open(path).and_then(|mut file| read(&mut file).map(|found| (file, found)));
            opened.inspect_err(|error| self.complain(error)).ok()
        });
        if let Some((_, Some(found))) = &file {
            records.clone_from(found);
        }
        let before = records.clone();
        let answer = work(&mut records);
        while records.refused.len() > MAX_RECORDS {
            let oldest = records.refused.iter().min_by_key(|(_, refused)| refused.last).map(|(name, _)| *name);
            let Some(oldest) = oldest else { break };
            records.refused.remove(&oldest);
        }
        if let Some((file, _)) = file.as_mut().filter(|_| *records != before)
            && let Err(error) = write(file, &records)
        {
            self.complain(&error);
        }
        answer
    }

    /// Once: the process goes on and remembers by itself.
    fn complain(&self, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "directory.bind_memory_unusable: a restart will forget refused binds");
        }
    }
}

fn fresh_key() -> [u8; 32] {
    let mut key = [0; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut key).is_err() {
        // Only less private; the words are still ours alone.
        key[..16].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    }
    key
}

/// Lengths separate the parts.
fn fingerprint(key: &[u8; 32], url: &str, credentials: &Credentials) -> Fingerprint {
    let (name, secret): (&[u8], &[u8]) = match credentials {
        Credentials::Simple { bind_dn, password } => (bind_dn.as_bytes(), password.expose_secret().as_bytes()),
        Credentials::External { certificate } => (b"", certificate),
    };
    let mut hash = Sha256::new_with_prefix(key);
    for part in [url.as_bytes(), name, secret] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut short = Fingerprint::default();
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// Opens the file for this process alone, and makes it where there is none.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    files::private(&mut options);
    // A check that root makes must not follow a link that the agent's user put here.
    files::no_follow(&mut options);
    let is_new = !path.exists();
    let file = options.open(path)?;
    if is_new {
        // A check that root makes must leave no file that the agent cannot read.
        files::same_owner_as_folder(path, &file)?;
    }
    file.lock()?;
    Ok(file)
}

/// The records of a file; nothing where there are none yet, or none that can be read.
fn read(file: &mut File) -> io::Result<Option<Records>> {
    let mut text = String::new();
    match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
        Ok(_) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Option<Records> {
    let mut lines = text.lines();
    let key = unhex(lines.next()?.strip_prefix("key ")?)?;
    let record = |line: &str| {
        let mut fields = line.splitn(5, ' ');
        let name = unhex(fields.next()?)?;
        let (failures, last) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let blocked_until = fields.next()?.parse().ok()?;
        let cause = fields.next()?.chars().take(MAX_CAUSE_CHARS).collect();
        Some((name, Refused { failures, last, blocked_until, cause }))
    };
    Some(Records { key, refused: lines.filter_map(record).take(MAX_RECORDS).collect() })
}

fn write(file: &mut File, records: &Records) -> io::Result<()> {
    let mut text = format!("key {}\n", hex(&records.key));
    for (name, Refused { failures, last, blocked_until, cause }) in &records.refused {
        let cause: String = cause.chars().filter(|letter| !letter.is_control()).take(MAX_CAUSE_CHARS).collect();
        let line = [&hex(name), &failures.to_string(), &last.to_string(), &blocked_until.to_string(), &cause];
        text.push_str(&line.map(String::as_str).join(" "));
        text.push('\n');
    }
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(password: &str) -> Credentials {
        Credentials::Simple { bind_dn: "cn=reader".to_owned(), password: password.to_owned().into() }
    }

    #[tokio::test]
    async fn a_restart_remembers_and_the_file_holds_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("binds");
        let urls = ["ldaps://one".to_owned(), "ldaps://two".to_owned()];
        BindMemory::in_file(&path).change(&urls, &credentials("hunter2"), |refused| {
            refused.failures = 3;
            refused.cause = "wrong account or password".to_owned();
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("reader") && !text.contains("ldaps"), "{text}");
        let after = BindMemory::in_file(&path);
        let recalled = after.recall(&urls[1..], &credentials("hunter2"));
        assert_eq!(recalled.len(), 1);
        assert_eq!((recalled[0].failures, recalled[0].cause.as_str()), (3, "wrong account or password"));
        assert_eq!(after.recall(&urls, &credentials("hunter3")), []);
        after.change(&urls, &credentials("hunter2"), |refused| *refused = Refused::default());
        assert_eq!(BindMemory::in_file(&path).recall(&urls, &credentials("hunter2")), []);
    }

    #[tokio::test]
    async fn a_file_that_is_none_is_started_anew_and_a_folder_that_is_gone_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("binds");
        let urls = ["ldaps://one".to_owned()];
        for rubbish in ["", "key 12\n", "\u{0}\u{1}", "key zz"] {
            std::fs::write(&path, rubbish).unwrap();
            BindMemory::in_file(&path).change(&urls, &credentials("a"), |refused| refused.failures = 1);
            assert_eq!(BindMemory::in_file(&path).recall(&urls, &credentials("a")).len(), 1, "{rubbish:?}");
        }
        let nowhere = BindMemory::in_file(&folder.path().join("none/binds"));
        nowhere.change(&urls, &credentials("a"), |refused| refused.failures = 1);
        assert_eq!(nowhere.recall(&urls, &credentials("a")).len(), 1);
    }

    #[tokio::test]
    async fn no_more_than_a_bounded_number_is_remembered() {
        let memory = BindMemory::default();
        for number in 0..300_u32 {
            let urls = [format!("ldaps://server{number}")];
            memory.change(&urls, &credentials("a"), |refused| refused.last = u64::from(number) + 1);
        }
        assert_eq!(memory.recall(&["ldaps://server0".to_owned()], &credentials("a")), []);
        assert_eq!(memory.recall(&["ldaps://server299".to_owned()], &credentials("a")).len(), 1);
    }
}

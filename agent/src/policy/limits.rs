//! How much may be deleted, disabled and given passwords within an hour or a minute. What was used up is kept in a file, so
//! that a restart gives nothing back. A file that is missing or damaged counts as used up, for one hour and one minute.

mod window;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use postern_platform::seal;
use postern_runtime::clock::SharedClock;
use postern_runtime::{ownership, secret};
use serde::{Deserialize, Serialize};

pub(crate) use self::window::Counted;
use self::window::Window;

const FILE: &str = "write-limits.json";
/// More bytes than the windows of so many directories take.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
const MAX_DIRECTORIES: usize = 1_000;

/// What was used up in each directory.
#[derive(Debug)]
pub(crate) struct Limits {
    file: PathBuf,
    clock: SharedClock,
    /// Nothing: the file was not looked at yet.
    used: Mutex<Option<Used>>,
}

/// The most of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limit {
    /// What is counted.
    pub(crate) counted: Counted,
    /// How much of it.
    pub(crate) most: u32,
}

/// Why something is not counted, and so not done.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The limit is used up.
    UsedUp(Counted),
    /// The count cannot be kept.
    Unkept(Counted, String),
}

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Used {
    /// Nothing counted is done before this, by seconds since 1970.
    blocked_until: BTreeMap<Counted, i64>,
    directories: BTreeMap<String, BTreeMap<Counted, Window>>,
}

impl Limits {
    /// Limits that are kept in this folder.
    pub(crate) fn new(state_dir: &Path, clock: SharedClock) -> Self {
        Self { file: state_dir.join(FILE), clock, used: Mutex::new(None) }
    }

    /// Looks at the file, so that the time for which a missing one blocks begins now.
    pub(crate) fn prepare(&self) {
        let mut used = self.used();
        if let Err(error) = self.opened(&mut used) {
            tracing::error!(error, "policy.limits_unusable: what they limit is refused");
        }
    }

    /// Counts one more of each, or of none. It was done only if this could be kept.
    pub(crate) fn take(&self, directory: &str, limits: &[Limit]) -> Result<(), Refused> {
        let Some(first) = limits.first() else { return Ok(()) };
        let now = self.clock.now().as_second();
        let unkept = |reason| Refused::Unkept(first.counted, reason);
        let mut guard = self.used();
        let before = self.opened(&mut guard).map_err(unkept)?;
        let mut used = before.clone();
        for Limit { counted, most } in limits {
            let blocked = used.blocked_until.get(counted).is_some_and(|until| now < *until);
            let window = used.directories.entry(directory.to_owned()).or_default().entry(*counted).or_default();
            window.forget(*counted, now);
            if blocked || window.count() >= u64::from(*most) {
                return Err(Refused::UsedUp(*counted));
            }
            window.add(*counted, now);
        }
        used.forget(now);
        self.save(&used).map_err(unkept)?;
        *guard = Some(used);
        Ok(())
    }

    fn used(&self) -> MutexGuard<'_, Option<Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file says. One that says nothing counts as used up, and is written so that the time is not begun anew.
    fn opened<'a>(&self, used: &'a mut Option<Used>) -> Result<&'a Used, String> {
        if used.is_none() {
            let now = self.clock.now().as_second();
            *used = Some(match self.read(now) {
                Ok(found) => {
                    self.save(&found)?;
                    found
                }
                Err(reason) => {
                    tracing::warn!(reason, "policy.limits_unknown: they count as used up for one hour and one minute");
                    let blocked = Counted::ALL.map(|counted| (counted, now + counted.seconds()));
                    let fresh = Used { blocked_until: blocked.into(), directories: BTreeMap::new() };
                    self.save(&fresh)?;
                    fresh
                }
            });
        }
        used.as_ref().ok_or_else(|| "not read".to_owned())
    }

    fn read(&self, now: i64) -> Result<Used, String> {
        ownership::check_file(&self.file).map_err(|error| error.to_string())?;
        let file = std::fs::File::open(&self.file).map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err("the file is too large".to_owned());
        }
        let text = seal::open(text).map_err(|error| error.to_string())?;
        let mut used: Used = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if used.directories.len() > MAX_DIRECTORIES {
            return Err("the file names too many directories".to_owned());
        }
        used.settle(now);
        Ok(used)
    }

    fn save(&self, used: &Used) -> Result<(), String> {
        let text = serde_json::to_vec(used).map_err(|error| error.to_string())?;
        secret::write_private(&self.file, &text).map_err(|error| postern_runtime::supervise::chain(&error))
    }
}

impl Used {
    /// Drops what no window holds any more.
    fn forget(&mut self, now: i64) {
        self.blocked_until.retain(|_, until| now < *until);
        for windows in self.directories.values_mut() {
            windows.retain(|counted, window| {
                window.forget(*counted, now);
                window.count() > 0
            });
        }
        self.directories.retain(|_, windows| !windows.is_empty());
    }

    /// A clock that was wrong may have left times that are far ahead: they count from now.
    fn settle(&mut self, now: i64) {
        for (counted, until) in &mut self.blocked_until {
            *until = (*until).min(now + counted.seconds());
        }
        for windows in self.directories.values_mut() {
            for (counted, window) in windows {
                window.settle(*counted, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use postern_runtime::clock::ManualClock;

    use super::*;

    const DELETES: [Limit; 1] = [Limit { counted: Counted::Deletes, most: 3 }];

    struct Place {
        folder: tempfile::TempDir,
        clock: ManualClock,
    }

    impl Place {
        fn new() -> Self {
            let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
            Self { folder: tempfile::tempdir().unwrap(), clock }
        }

        fn limits(&self) -> Limits {
            Limits::new(self.folder.path(), self.clock.shared())
        }

        /// Limits of which nothing is used up.
        fn fresh(&self) -> Limits {
            self.limits().prepare();
            self.clock.advance(Duration::from_secs(3_601));
            self.limits()
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join(FILE)
        }
    }

    fn taken(limits: &Limits, times: usize) -> usize {
        (0..times).filter(|_| limits.take("corp", &DELETES).is_ok()).count()
    }

    #[test]
    fn no_hour_has_more_than_the_limit_wherever_it_begins() {
        let place = Place::new();
        let limits = place.fresh();
        let mut done: Vec<i64> = Vec::new();
        for minute in 0..600_i64 {
            if limits.take("corp", &DELETES).is_ok() {
                done.push(minute);
            }
            place.clock.advance(Duration::from_mins(1));
        }
        assert!(done.len() > 20, "{done:?}");
        assert!(done.windows(4).all(|some| some[3] - some[0] >= 60), "{done:?}");
        assert!(limits.take("other", &DELETES).is_ok(), "each directory has its own");
    }

    #[test]
    fn a_restart_gives_nothing_back() {
        let place = Place::new();
        assert_eq!(taken(&place.fresh(), 2), 2);
        assert_eq!(taken(&place.limits(), 5), 1);
        assert_eq!(taken(&place.limits(), 5), 0);
        place.clock.advance(Duration::from_secs(3_661));
        assert_eq!(taken(&place.limits(), 5), 3);
    }

    #[test]
    fn a_missing_or_damaged_file_counts_as_used_up_and_not_for_ever() {
        let place = Place::new();
        let large = vec![b' '; 5_000_000];
        let rubbish: [Option<&[u8]>; 6] =
            [None, Some(b""), Some(b"{}"), Some(b"\0\0\0"), Some(b"{\"blocked_until\":{}"), Some(&large)];
        for content in rubbish {
            assert_eq!(taken(&place.fresh(), 1), 1);
            match content {
                None => std::fs::remove_file(place.file()).unwrap(),
                Some(bytes) => std::fs::write(place.file(), bytes).unwrap(),
            }
            assert_eq!(taken(&place.limits(), 3), 0, "{content:?}");
            place.clock.advance(Duration::from_mins(30));
            assert_eq!(taken(&place.limits(), 3), 0, "a restart does not begin the hour anew, nor end it");
            place.clock.advance(Duration::from_secs(1_801));
            assert_eq!(taken(&place.limits(), 5), 3);
            std::fs::remove_file(place.file()).unwrap();
        }
    }

    #[test]
    fn a_kill_between_write_and_rename_changes_nothing() {
        let place = Place::new();
        assert_eq!(taken(&place.fresh(), 3), 3);
        std::fs::write(place.folder.path().join(".write-limits.json.00000000deadbeef"), b"{\"blo").unwrap();
        assert_eq!(taken(&place.limits(), 1), 0);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let place = Place::new();
        let limits = place.fresh();
        assert_eq!(taken(&limits, 1), 1);
        std::fs::remove_file(place.file()).unwrap();
        std::fs::create_dir(place.file()).unwrap();
        assert!(matches!(limits.take("corp", &DELETES), Err(Refused::Unkept(..))));
        std::fs::remove_dir(place.file()).unwrap();
        assert_eq!(taken(&limits, 5), 2, "what was refused is not counted");
    }

    #[test]
    fn a_clock_that_was_far_ahead_does_not_block_for_ever() {
        let place = Place::new();
        let start = place.clock.shared().now();
        place.fresh();
        place.clock.advance(Duration::from_hours(87_600));
        assert_eq!(taken(&place.limits(), 3), 3);
        place.clock.set(start);
        assert_eq!(taken(&place.limits(), 3), 0);
        place.clock.advance(Duration::from_secs(3_661));
        assert_eq!(taken(&place.limits(), 3), 3);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_bounded() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new();
        let limits = place.fresh();
        let many = [Limit { counted: Counted::Deletes, most: u32::MAX }];
        for _ in 0..500 {
            assert!(limits.take("corp", &many).is_ok());
            place.clock.advance(Duration::from_secs(7));
        }
        let metadata = std::fs::metadata(place.file()).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(metadata.len() < 4_000, "{}", metadata.len());
    }
}

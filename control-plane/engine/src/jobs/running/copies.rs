//! Copies of an organization's data, for jobs that only find out what another job would do. Each is a file of this
//! process, and is deleted when its job leaves.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use postern_store::{Error, Job, Store, WorkingCopy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Copies at a time: each takes about as much disk as the organization's data, twice.
const AT_ONCE: usize = 2;

/// The file that a living process keeps locked.
const LOCK: &str = "lock";

/// Where this process keeps copies.
#[derive(Debug)]
pub struct Copies {
    /// A folder of this process, made when it is needed.
    folder: PathBuf,
    lock: Mutex<Option<File>>,
    room: Arc<Semaphore>,
}

/// One copy.
#[derive(Debug)]
pub struct Copy {
    /// The data.
    pub(crate) data: WorkingCopy,
    folder: PathBuf,
    _room: OwnedSemaphorePermit,
}

impl Copies {
    /// Copies below this folder. Those of processes that have died are deleted.
    pub fn below(folder: &Path) -> Self {
        let left = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in left.filter(|folder| is_left(folder)) {
            delete(&folder);
        }
        let folder = folder.join(uuid::Uuid::now_v7().to_string());
        Self { folder, lock: Mutex::default(), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Makes the folder of this process, and shows others that it lives.
    fn make_own(&self) -> std::io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            make_folder(&self.folder)?;
            let file = File::create(self.folder.join(LOCK))?;
            file.lock()?;
            *lock = Some(file);
        }
        Ok(())
    }

    /// Copies the data for a job. `None`: there are too many copies now.
    pub(crate) async fn make(&self, store: &Store, job: &Job) -> Result<Option<Copy>, Error> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else { return Ok(None) };
        let folder = self.folder.join(format!("{}-{}", job.id, job.attempt));
        let made = self.make_own().and_then(|()| make_folder(&folder));
        // Deleted also if the copying fails.
        let guard = Guard(folder);
        made.map_err(Error::unwritable)?;
        let data = store.working_copy(&guard.0.join("copy.db"), job.organization, job.id).await?;
        Ok(Some(Copy { data, folder: guard.keep(), _room: room }))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if self.lock.get_mut().is_ok_and(|lock| lock.is_some()) {
            delete(&self.folder);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        delete(&self.folder);
    }
}

/// Deletes a folder unless it is kept.
struct Guard(PathBuf);

impl Guard {
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            delete(&self.0);
        }
    }
}

/// Whether the process of a folder has died.
fn is_left(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

fn delete(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "jobs.copy_not_deleted");
    }
}

/// The copy has personal data: only its owner may read it.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

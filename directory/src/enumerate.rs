//! All users, then all groups, as a stream of pages: reading goes on while the consumer works, and never more than two
//! pages ahead of it.

mod page;
mod reading;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::page::Page;
use self::reading::Reading;
use crate::connection::Servers;
use crate::error::{Error, Phase, Progress, Step};
use crate::second_look::{SecondLook, Session};
use crate::source::Source;

/// One page waits in the channel while another waits to be put there.
const WAITING_PAGES: usize = 1;

/// A directory being read. Dropping it ends the reading.
pub struct Enumeration {
    pages: mpsc::Receiver<Result<Page, Error>>,
    task: JoinSet<()>,
    servers: Arc<Servers>,
    read: Arc<Mutex<Option<Session>>>,
    source: oneshot::Receiver<Source>,
    totals: Progress,
    complete: bool,
    over: bool,
}

impl Enumeration {
    pub(crate) fn start(servers: Arc<Servers>, cancel: CancellationToken) -> Self {
        let (sender, pages) = mpsc::channel(WAITING_PAGES);
        let mut task = JoinSet::new();
        let read: Arc<Mutex<Option<Session>>> = Arc::default();
        let (place, known) = (Arc::clone(&read), Arc::clone(&servers));
        let (source_sender, source) = oneshot::channel();
        task.spawn(async move {
            let failures = sender.clone();
            match Reading::new(servers, source_sender, cancel, sender).run().await {
                Ok(session) => *place.lock().unwrap_or_else(PoisonError::into_inner) = session,
                // If nobody listens any more, nobody needs to know.
                Err(error) => drop(failures.send(Err(error)).await),
            }
        });
        let totals = Progress::default();
        Self { pages, task, servers: known, read, source, totals, complete: false, over: false }
    }

    /// The next page. An error is the last thing that comes; `None` without one before it means that every entry was read.
    pub async fn next(&mut self) -> Option<Result<Page, Error>> {
        if self.over {
            return None;
        }
        match self.pages.recv().await {
            Some(Ok(page)) => {
                self.totals.count(&page);
                Some(Ok(page))
            }
            Some(Err(error)) => {
                self.over = true;
                Some(Err(error))
            }
            None => {
                self.over = true;
                match self.task.join_next().await {
                    Some(Ok(())) => {
                        self.complete = true;
                        None
                    }
                    _ => Some(Err(Error::Panicked { step: Step::Search })),
                }
            }
        }
    }

    /// What came so far.
    pub fn totals(&self) -> Progress {
        self.totals
    }

    /// Where the entries come from; known before the first page comes. Asked again, or where nothing could be read, it
    /// says nothing.
    pub async fn source(&mut self) -> Source {
        let (_, spent) = oneshot::channel();
        std::mem::replace(&mut self.source, spent).await.unwrap_or_default()
    }

    /// Looks directly for entries that did not come, at the server that was read and on the connection that read it.
    /// Before the end of the reading, and when asked again, nothing can be seen by it.
    pub fn second_look(&self) -> SecondLook {
        let session = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        SecondLook::new(Arc::clone(&self.servers), session, self.totals)
    }

    /// Whether every entry was read.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl fmt::Debug for Enumeration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Enumeration").field("totals", &self.totals).finish_non_exhaustive()
    }
}

impl Progress {
    fn count(&mut self, page: &Page) {
        let records = page.entries.len() as u64;
        match page.phase {
            Phase::Users => self.users += records,
            Phase::Groups => self.groups += records,
        }
        self.unusable += page.unusable.len() as u64;
        self.referrals += page.referrals;
        self.pages += 1;
    }
}

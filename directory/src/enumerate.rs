//! All users, then all groups, as a stream of pages: reading goes on while the consumer works, and never more than two
//! pages ahead of it.

mod page;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::page::Filling;
pub use self::page::Page;
use crate::config::Scope;
use crate::connection::{Connection, Servers};
use crate::entry::Entry;
use crate::error::{Error, Phase, Progress, Step};
use crate::flavour::Flavour;
use crate::guard::is_reference;
use crate::judge::{self, Judge};
use crate::kinds::{self, Kind, PrimaryGroups};
use crate::members;
use crate::names::Names;
use crate::record::{Selected, Unusable};
use crate::search::{PagedSearch, Query};
use crate::second_look::SecondLook;
use crate::sections::Section;
use crate::source::{self, Source};

/// One page waits in the channel while another waits to be put there.
const WAITING_PAGES: usize = 1;

/// A directory being read. Dropping it ends the reading.
pub struct Enumeration {
    pages: mpsc::Receiver<Result<Page, Error>>,
    task: JoinSet<()>,
    servers: Arc<Servers>,
    /// The place of the server that is read.
    server: Arc<AtomicUsize>,
    source: oneshot::Receiver<Source>,
    totals: Progress,
    complete: bool,
    over: bool,
}

impl Enumeration {
    pub(crate) fn start(servers: Arc<Servers>, cancel: CancellationToken) -> Self {
        let (sender, pages) = mpsc::channel(WAITING_PAGES);
        let mut task = JoinSet::new();
        let server = Arc::new(AtomicUsize::new(0));
        let (read, known) = (Arc::clone(&server), Arc::clone(&servers));
        let (told, source) = oneshot::channel();
        task.spawn(async move {
            let progress = Progress::default();
            let judge = Judge::new(&servers.config, Flavour::Generic, &Names::default());
            let primary = PrimaryGroups::default();
            let (told, from) = (Some(told), Source::default());
            let mut reading =
                Reading { servers, server: read, told, from, cancel, sender, progress, spare: None, judge, primary };
            if let Err(error) = reading.run().await {
                // Nobody listens any more: nobody needs to know.
                let _ = reading.sender.send(Err(error)).await;
            }
        });
        let totals = Progress::default();
        Self { pages, task, servers: known, server, source, totals, complete: false, over: false }
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

    /// Looks directly for entries that did not come, at the server that was read.
    pub fn second_look(&self) -> SecondLook {
        SecondLook::new(Arc::clone(&self.servers), self.server.load(Ordering::Relaxed))
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
        let records = page.records.len() as u64;
        match page.phase {
            Phase::Users => self.users += records,
            Phase::Groups => self.groups += records,
        }
        self.unusable += page.unusable.len() as u64;
        self.referrals += page.referrals;
        self.pages += 1;
    }
}

/// The reading task.
struct Reading {
    servers: Arc<Servers>,
    /// The place of the server that is read: all of it comes from one, for another may know more or less.
    server: Arc<AtomicUsize>,
    /// Told with the first page, because until then another server may take its place.
    told: Option<oneshot::Sender<Source>>,
    from: Source,
    cancel: CancellationToken,
    sender: mpsc::Sender<Result<Page, Error>>,
    progress: Progress,
    /// A second connection for ranges of values: a search in between would end a paged one on some servers.
    spare: Option<Connection>,
    judge: Judge,
    primary: PrimaryGroups,
}

/// What is being read: a section, and the users' section beside it, for members that are named by more than their DN.
struct Task<'s> {
    flavour: Flavour,
    section: &'s Section<'s>,
    users: &'s Section<'s>,
    /// An entry without attributes means that the search was cut.
    bare_is_cut: bool,
}

impl Reading {
    /// Reads everything from one server. Where it fails before anything was read, the next one is asked; what was sent
    /// cannot be taken back, but whoever starts again begins with the next.
    async fn run(&mut self) -> Result<(), Error> {
        let servers = Arc::clone(&self.servers);
        let mut question = servers.question();
        loop {
            let mut connection = self.open().await?;
            self.server.store(connection.server, Ordering::Relaxed);
            match self.read(&mut connection).await {
                Err(error)
                    if question.is_worth_repeating(&connection, &error) && self.progress == Progress::default() => {}
                answer => return answer,
            }
        }
    }

    async fn read(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let root = connection.root_dse().await?;
        let flavour = root.flavour();
        let servers = Arc::clone(&self.servers);
        let names = servers.names(connection, &root).await?;
        self.judge = Judge::new(&servers.config, flavour, &names);
        let sections = Section::all(&servers.config, flavour, &names);
        self.from = source::read(connection, &servers.config, &root, &sections).await?;
        // An entry of 389 Directory Server that comes bare is the last one of a search that was cut.
        let bare_is_cut = flavour == Flavour::Ds389 && servers.config.external_id_attribute.is_none();
        let Some(users) = sections.first() else { return Ok(()) };
        for section in &sections {
            let task = Task { flavour, section, users, bare_is_cut };
            for base_dn in section.base_dns {
                let ended = |this: &Self, error| this.ended(error, section.phase, base_dn, section.scope);
                if !connection.is_fresh() {
                    *connection = self.open_again().await.map_err(|error| ended(self, error))?;
                }
                self.read_base(connection, &task, base_dn).await.map_err(|error| ended(self, error))?;
            }
        }
        for section in &sections {
            for base_dn in section.base_dns {
                let still_there = self.is_still_there(connection, base_dn).await;
                still_there.map_err(|error| self.ended(error, section.phase, base_dn, section.scope))?;
            }
        }
        self.tell_source();
        tracing::debug!(
            directory = %servers.config.name,
            flavour = %flavour,
            users = self.progress.users,
            groups = self.progress.groups,
            pages = self.progress.pages,
            "directory.enumeration.complete"
        );
        Ok(())
    }

    async fn open(&self) -> Result<Connection, Error> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Canceled),
            connection = self.servers.open() => connection,
        }
    }

    /// Another connection to the same server.
    async fn open_again(&self) -> Result<Connection, Error> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Canceled),
            connection = self.servers.open_at(self.server.load(Ordering::Relaxed)) => connection,
        }
    }

    /// A server that takes a part of the directory offline ends the searches there with success. So each base is read
    /// once more after the last page.
    async fn is_still_there(&self, connection: &mut Connection, base_dn: &str) -> Result<(), Error> {
        if !connection.is_fresh() {
            *connection = self.open_again().await?;
        }
        let attributes = ["1.1".to_owned()];
        let read = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Error::Canceled),
            read = connection.read_object(base_dn, "(objectClass=*)", &attributes, Step::Search) => read,
        };
        match read {
            // Whether the base itself may be seen is another matter.
            Ok(_) => Ok(()),
            Err(Error::Refused { code, diagnostic, .. }) => Err(Error::Cut { code: Some(code), diagnostic }),
            Err(error) => Err(error),
        }
    }

    fn ended(&self, error: Error, phase: Phase, base_dn: &str, scope: Scope) -> Error {
        if matches!(error, Error::Canceled) {
            return error;
        }
        Error::Ended { phase, base_dn: base_dn.to_owned(), scope, progress: self.progress, source: Box::new(error) }
    }

    async fn read_base(&mut self, connection: &mut Connection, task: &Task<'_>, base_dn: &str) -> Result<(), Error> {
        let section = task.section;
        let page_size = self.servers.config.page_size;
        let query =
            Query { base_dn, scope: section.scope, filter: &section.filter, attributes: &section.requested, page_size };
        let cancel = self.cancel.clone();
        let mut search = PagedSearch::new(connection, query, &cancel);
        let mut page = Filling::new(section.phase, page_size as usize);
        let mut scratch = Vec::new();
        let ended = loop {
            let batch = match search.next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            for message in &batch {
                if task.bare_is_cut && is_bare(message) {
                    return Err(Error::Cut { code: None, diagnostic: String::new() });
                }
                self.take(message, task, &mut page, &mut scratch).await?;
                if page.is_full() {
                    self.send(page.take()).await?;
                }
            }
        };
        // What came before an early end is read as well, and counted in what is told of it.
        if !page.is_empty() {
            self.send(page.take()).await?;
        }
        ended
    }

    async fn take(
        &mut self,
        message: &Bytes,
        task: &Task<'_>,
        page: &mut Filling,
        scratch: &mut Vec<Vec<Bytes>>,
    ) -> Result<(), Error> {
        page.bytes += message.len();
        if is_reference(message) {
            page.page.referrals += 1;
            return Ok(());
        }
        let mut selected = match task.section.selection.select(message, scratch) {
            Ok(selected) => selected,
            Err(unusable) if kinds::is_conflict(&unusable.dn) => {
                page.page.remarks.push(unusable);
                return Ok(());
            }
            Err(unusable) => {
                page.page.unusable.push(unusable);
                return Ok(());
            }
        };
        let kind = Kind::of(task.flavour, message, &selected.record.dn);
        let include_builtin = self.servers.config.include_builtin;
        if let Some(reason) = kind.left_out(include_builtin) {
            page.page.remarks.push(Unusable { dn: selected.record.dn, reason: reason.to_owned() });
            return Ok(());
        }
        if let Some(attribute) = &selected.unread {
            let reason = format!("lists its members by {attribute}, which groups.member_attribute does not name");
            page.page.remarks.push(Unusable { dn: selected.record.dn.clone(), reason });
        }
        let primary = match task.section.phase {
            Phase::Users => {
                self.primary.note(&kind);
                self.judge(&mut selected).await?;
                None
            }
            Phase::Groups => self.primary.filter(&kind, include_builtin),
        };
        if let Some(attribute) = selected.unreadable {
            page.page.unknown_switches += 1;
            page.page.unreadable = page.page.unreadable.or(Some(attribute));
        }
        if !selected.partial.is_empty() || !selected.member_uids.is_empty() || primary.is_some() {
            page.bytes += self.complete(&mut selected, task.users, primary.as_deref()).await?;
        }
        page.page.records.push(selected.record);
        Ok(())
    }

    /// Makes sure that what the entry does not show is not merely hidden.
    async fn judge(&mut self, selected: &mut Selected) -> Result<(), Error> {
        if self.judge.must_ask(selected) {
            let mut connection = self.spare().await?;
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Error::Canceled),
                asked = self.judge.ask(&mut connection, selected) => asked?,
            }
            self.spare = Some(connection);
        }
        self.judge.settle(selected, judge::now());
        Ok(())
    }

    async fn spare(&mut self) -> Result<Connection, Error> {
        match self.spare.take() {
            Some(spare) if spare.is_fresh() => Ok(spare),
            _ => self.open_again().await,
        }
    }

    /// Reads what did not come with the entry: further values, and members that are named by more than their DN.
    async fn complete(
        &mut self,
        selected: &mut Selected,
        users: &Section<'_>,
        primary: Option<&str>,
    ) -> Result<usize, Error> {
        let mut connection = self.spare().await?;
        let page_size = self.servers.config.page_size;
        let reading = async {
            let mut bytes = selected.complete(&mut connection).await?;
            let uids = std::mem::take(&mut selected.member_uids);
            let members = &mut selected.record.members;
            let before = members.len();
            members::by_uid(&mut connection, users, &uids, members).await?;
            if let Some(condition) = primary {
                members::by_condition(&mut connection, users, condition, page_size, members).await?;
            }
            bytes += members.iter().skip(before).map(Bytes::len).sum::<usize>();
            Ok::<usize, Error>(bytes)
        };
        let bytes = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Error::Canceled),
            read = reading => read?,
        };
        self.spare = Some(connection);
        Ok(bytes)
    }

    fn tell_source(&mut self) {
        if let Some(told) = self.told.take() {
            // Nobody may want to know.
            let _ = told.send(std::mem::take(&mut self.from));
        }
    }

    async fn send(&mut self, page: Page) -> Result<(), Error> {
        self.tell_source();
        self.progress.count(&page);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Canceled),
            sent = self.sender.send(Ok(page)) => sent.map_err(|_| Error::Canceled),
        }
    }
}

/// Whether an entry came without any of its attributes.
fn is_bare(message: &Bytes) -> bool {
    Entry::parse(message).is_ok_and(|mut entry| matches!(entry.next_attribute(), Ok(None)))
}

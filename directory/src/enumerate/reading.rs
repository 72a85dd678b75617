//! The task that reads all users, then all groups, from one server.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::page::{Filling, Page};
use crate::config::Scope;
use crate::connection::{Connection, Servers};
use crate::entry::{Selected, Unusable};
use crate::error::{Error, Phase, Progress, Step};
use crate::flavour::Flavour;
use crate::guard::is_reference;
use crate::judge::{self, Judge};
use crate::kinds::{self, Kind, PrimaryGroups};
use crate::members;
use crate::names::Names;
use crate::one_server::OneServer;
use crate::raw_entry::RawEntry;
use crate::root_dse::RootDse;
use crate::search::{PagedSearch, Query};
use crate::second_look::Session;
use crate::sections::Section;
use crate::source::{self, Source};

/// The reading task.
pub(super) struct Reading {
    servers: Arc<Servers>,
    /// All of it comes from one server, because another one may know more or less.
    server: Option<Arc<OneServer>>,
    /// Sent with the first page, because until then another server may be used.
    source_sender: Option<oneshot::Sender<Source>>,
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
    pub(super) fn new(
        servers: Arc<Servers>,
        source_sender: oneshot::Sender<Source>,
        cancel: CancellationToken,
        sender: mpsc::Sender<Result<Page, Error>>,
    ) -> Self {
        let judge = Judge::new(servers.config(), Flavour::Generic, &Names::default());
        Self {
            servers,
            server: None,
            source_sender: Some(source_sender),
            from: Source::default(),
            cancel,
            sender,
            progress: Progress::default(),
            spare: None,
            judge,
            primary: PrimaryGroups::default(),
        }
    }

    /// Reads everything from one server. Where it fails before anything was read, the next one is asked; what was sent
    /// cannot be taken back, but another start begins with the next. Returns what a second look goes on with.
    pub(super) async fn run(mut self) -> Result<Option<Session>, Error> {
        let servers = Arc::clone(&self.servers);
        let mut question = servers.question();
        loop {
            let mut connection = self.open().await?;
            match self.read(&mut connection).await {
                Err(error)
                    if question.is_worth_repeating(&connection, &error) && self.progress == Progress::default() => {}
                Err(error) => return Err(error),
                Ok((root, names)) => {
                    return Ok(self.server.map(|server| Session { server, connection, root, names }));
                }
            }
        }
    }

    async fn read(&mut self, connection: &mut Connection) -> Result<(RootDse, Arc<Names>), Error> {
        let root = connection.root_dse().await?;
        let flavour = root.flavour();
        let servers = Arc::clone(&self.servers);
        let names = servers.names(connection, &root).await?;
        self.judge = Judge::new(servers.config(), flavour, &names);
        let sections = Section::all(servers.config(), flavour, &names);
        self.from = source::read(connection, servers.config(), &root, &sections).await?;
        let listed = servers.config().attribute_names();
        let binary = listed.into_iter().filter(|name| names.is_binary(name) && !names.stays(name));
        self.from.binary_attributes = binary.map(str::to_owned).collect();
        self.server = Some(Arc::new(OneServer::of(connection, &root, &self.from.marks)));
        self.spare = None;
        // An entry of 389 Directory Server that comes bare is the last one of a search that was cut.
        let bare_is_cut = flavour == Flavour::Ds389 && servers.config().external_id_attribute.is_none();
        let Some(users) = sections.first() else { return Ok((root, names)) };
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
            directory = %servers.config().name,
            flavour = %flavour,
            users = self.progress.users,
            groups = self.progress.groups,
            pages = self.progress.pages,
            "directory.enumeration.complete"
        );
        Ok((root, names))
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
        let Some(server) = &self.server else { return self.open().await };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Canceled),
            opened = server.open(&self.servers) => opened.map(|(connection, _)| connection),
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
        let page_size = self.servers.config().page_size;
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
        // Entries before an early end are read too, and counted in the error.
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
        let kind = Kind::of(task.flavour, message, &selected.entry.dn);
        let include_builtin = self.servers.config().include_builtin;
        if let Some(reason) = kind.left_out(include_builtin) {
            page.page.remarks.push(Unusable { dn: selected.entry.dn, reason: reason.to_owned() });
            return Ok(());
        }
        if let Some(attribute) = &selected.unread {
            let reason = format!("lists its members by {attribute}, which groups.member_attribute does not name");
            page.page.remarks.push(Unusable { dn: selected.entry.dn.clone(), reason });
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
            page.page.note_unknown_switch(&selected.entry.dn, attribute);
        }
        if !selected.partial.is_empty() || !selected.member_uids.is_empty() || primary.is_some() {
            page.bytes += self.complete(&mut selected, task.users, primary.as_deref()).await?;
        }
        page.page.entries.push(selected.entry);
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
        let page_size = self.servers.config().page_size;
        let reading = async {
            let mut bytes = selected.complete(&mut connection).await?;
            let uids = std::mem::take(&mut selected.member_uids);
            let members = &mut selected.entry.members;
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
        if let Some(sender) = self.source_sender.take() {
            // Nobody may want to know.
            let _ = sender.send(std::mem::take(&mut self.from));
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
    RawEntry::parse(message).is_ok_and(|mut entry| matches!(entry.next_attribute(), Ok(None)))
}

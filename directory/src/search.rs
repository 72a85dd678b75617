//! Searches: paged always (RFC 2696, critical), streamed, bounded in memory by the guard's channel and in time page by
//! page, cancellable. Whatever is not a proven end is an error.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use ldap3::controls::{Control, MakeCritical as _, PagedResults, RawControl};
use ldap3::{DerefAliases, LdapResult, SearchOptions, SearchStream};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Scope;
use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::guard::{Batch, is_reference};
use crate::root_dse::{ATTRIBUTES, PAGED_RESULTS, RootDse};
use postern_dn::ber::{self, Malformed, Reader};

/// A server that sends this many empty pages in a row will not come to an end.
const MAX_EMPTY_PAGES: u32 = 10_000;

/// What to search for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) base_dn: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [String],
    pub(crate) page_size: u32,
}

/// A search under way, page after page.
pub(crate) struct PagedSearch<'a> {
    connection: &'a mut Connection,
    query: Query<'a>,
    cancel: &'a CancellationToken,
    cookie: Vec<u8>,
    page: Option<RunningPage<'a>>,
    /// How the last page ended; sent after its entries.
    failure: Option<Error>,
    empty_pages: u32,
    done: bool,
}

/// One search request and its answers.
struct RunningPage<'a> {
    stream: SearchStream<'a, String, &'a [String]>,
    waited: Duration,
    step: Step,
    entries: usize,
}

/// What came next.
enum Arrival {
    Entries(Batch),
    Done(LdapResult),
}

/// What a read of one entry brought.
#[derive(Debug)]
pub(crate) enum Object {
    /// The entry.
    Entry(Bytes),
    /// A referral in its place.
    Reference,
    /// Nothing that we may see, or that matches the filter.
    Nothing,
}

impl Object {
    /// An entry counts before a reference.
    fn or(self, batch: Batch) -> Self {
        batch.into_iter().fold(self, |found, message| match found {
            Self::Entry(_) => found,
            _ if is_reference(&message) => Self::Reference,
            _ => Self::Entry(message),
        })
    }
}

impl<'a> PagedSearch<'a> {
    pub(crate) fn new(connection: &'a mut Connection, query: Query<'a>, cancel: &'a CancellationToken) -> Self {
        let cookie = Vec::new();
        Self { connection, query, cancel, cookie, page: None, failure: None, empty_pages: 0, done: false }
    }

    /// The entries and references that came next; `None` when the server has said that this was all.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.done {
                return Ok(None);
            }
            let cancel = self.cancel;
            let arrival = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Error::Canceled),
                arrival = self.advance() => arrival?,
            };
            match arrival {
                Arrival::Entries(batch) => return Ok(Some(batch)),
                Arrival::Done(result) => {
                    let rest = self.drain();
                    if let Err(failure) = self.end_page(&result) {
                        self.failure = Some(failure);
                    }
                    if !rest.is_empty() {
                        return Ok(Some(rest));
                    }
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<Arrival, Error> {
        if self.page.is_none() {
            let size = i32::try_from(self.query.page_size).unwrap_or(i32::MAX);
            // Critical: a server that cannot page must say so, not send everything or the first thousand.
            let control = PagedResults { size, cookie: std::mem::take(&mut self.cookie) }.critical().into();
            self.page = Some(self.connection.start(self.query, Some(control), Step::Search).await?);
        }
        let Some(page) = &mut self.page else { return Err(Error::Panicked { step: Step::Search }) };
        self.connection.arrival(page).await
    }

    /// What is in the channel when the result is here: the guard puts entries there before it passes the result on.
    fn drain(&mut self) -> Batch {
        let rest = self.connection.drain();
        if let Some(page) = &mut self.page {
            page.entries += rest.len();
        }
        rest
    }

    fn end_page(&mut self, result: &LdapResult) -> Result<(), Error> {
        let entries = self.page.take().map_or(0, |page| page.entries);
        self.connection.busy = false;
        self.done = true;
        let cookie = cookie(result)?;
        self.empty_pages = if entries == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > MAX_EMPTY_PAGES {
            return Err(Error::Malformed { step: Step::Search, source: Malformed("empty pages without an end") });
        }
        self.done = cookie.is_empty();
        self.cookie = cookie;
        Ok(())
    }
}

impl Connection {
    /// Reads the one entry `dn`, whole in one answer; `None` where it does not match the filter.
    pub(crate) async fn read_entry(
        &mut self,
        dn: &str,
        filter: &str,
        attributes: &[String],
        step: Step,
    ) -> Result<Option<Bytes>, Error> {
        Ok(match self.read_object(dn, filter, attributes, step).await? {
            Object::Entry(message) => Some(message),
            Object::Reference | Object::Nothing => None,
        })
    }

    /// Reads what stands at `dn`.
    pub(crate) async fn read_object(
        &mut self,
        dn: &str,
        filter: &str,
        attributes: &[String],
        step: Step,
    ) -> Result<Object, Error> {
        let query = Query { base_dn: dn, scope: Scope::Base, filter, attributes, page_size: 1 };
        self.read_one(query, None, step).await
    }

    /// The same for an entry that an answer needs a control for: its object identifier and value. Critical.
    pub(crate) async fn read_entry_with(
        &mut self,
        dn: &str,
        attributes: &[String],
        (control, value): (&str, Vec<u8>),
    ) -> Result<Option<Bytes>, Error> {
        let filter = "(objectClass=*)";
        let query = Query { base_dn: dn, scope: Scope::Base, filter, attributes, page_size: 1 };
        let control = RawControl { ctype: control.to_owned(), crit: true, val: Some(value) };
        Ok(match self.read_one(query, Some(control), Step::Search).await? {
            Object::Entry(message) => Some(message),
            Object::Reference | Object::Nothing => None,
        })
    }

    async fn read_one(&mut self, query: Query<'_>, control: Option<RawControl>, step: Step) -> Result<Object, Error> {
        let (found, result) = self.answer(query, control, step).await?;
        match result.rc {
            0 => Ok(found),
            code => Err(Error::Refused { step, code, diagnostic: result.text }),
        }
    }

    /// Reads what stands at one DN, and how the server ended its answer.
    pub(crate) async fn answer(
        &mut self,
        query: Query<'_>,
        control: Option<RawControl>,
        step: Step,
    ) -> Result<(Object, LdapResult), Error> {
        let mut page = self.start(query, control, step).await?;
        let mut found = Object::Nothing;
        let result = loop {
            match self.arrival(&mut page).await? {
                Arrival::Entries(batch) => found = found.or(batch),
                Arrival::Done(result) => break result,
            }
        };
        found = found.or(self.drain());
        self.busy = false;
        Ok((found, result))
    }

    /// How many answers the first page of a search has. The other pages are not asked for.
    pub(crate) async fn count_first_page(&mut self, query: Query<'_>) -> Result<usize, Error> {
        let size = i32::try_from(query.page_size).unwrap_or(i32::MAX);
        let control = PagedResults { size, cookie: Vec::new() }.critical().into();
        let mut page = self.start(query, Some(control), Step::Search).await?;
        let result = loop {
            if let Arrival::Done(result) = self.arrival(&mut page).await? {
                break result;
            }
        };
        let rest = self.drain().len();
        self.busy = false;
        match result.rc {
            0 => Ok(page.entries + rest),
            code => Err(Error::Refused { step: Step::Search, code, diagnostic: result.text }),
        }
    }

    /// The first entry of a search. The others are not asked for.
    pub(crate) async fn first_entry(&mut self, query: Query<'_>) -> Result<Option<Bytes>, Error> {
        let control = PagedResults { size: 1, cookie: Vec::new() }.critical().into();
        match self.answer(query, Some(control), Step::Search).await? {
            (Object::Entry(message), _) => Ok(Some(message)),
            (_, result) if result.rc == 0 => Ok(None),
            (_, result) => Err(Error::Refused { step: Step::Search, code: result.rc, diagnostic: result.text }),
        }
    }

    /// What the server says of itself.
    pub(crate) async fn root_dse(&mut self) -> Result<RootDse, Error> {
        let attributes: Vec<String> = ATTRIBUTES.iter().map(|name| (*name).to_owned()).collect();
        let message = self.read_entry("", "(objectClass=*)", &attributes, Step::RootDse).await?;
        // A server may hide its rootDSE; it is then one of no known flavour.
        let Some(message) = message else { return Ok(RootDse::default()) };
        let malformed = |source| Error::Malformed { step: Step::RootDse, source };
        match crate::raw_entry::RawEntry::parse(&message) {
            Ok(entry) => RootDse::read(entry).map_err(malformed),
            Err(crate::raw_entry::EntryError::Malformed(source)) => Err(malformed(source)),
            Err(crate::raw_entry::EntryError::DnNotText { .. }) => Err(malformed(Malformed("a rootDSE with a name"))),
        }
    }

    async fn start<'a>(
        &mut self,
        query: Query<'a>,
        control: Option<RawControl>,
        step: Step,
    ) -> Result<RunningPage<'a>, Error> {
        let mut ldap = self.ldap.clone();
        let request = async move {
            let scope = match query.scope {
                Scope::Base => ldap3::Scope::Base,
                Scope::One => ldap3::Scope::OneLevel,
                Scope::Subtree => ldap3::Scope::Subtree,
            };
            ldap.with_search_options(SearchOptions::new().deref(DerefAliases::Never));
            if let Some(control) = control {
                ldap.with_controls(control);
            }
            ldap.streaming_search(query.base_dn, scope, query.filter, query.attributes).await
        };
        let stream = self.operate(step, self.operation_timeout, request).await?;
        self.busy = true;
        Ok(RunningPage { stream, waited: Duration::ZERO, step, entries: 0 })
    }

    /// The next answer. Only time spent waiting for the server counts against the page's limit.
    async fn arrival(&mut self, page: &mut RunningPage<'_>) -> Result<Arrival, Error> {
        let limit = self.operation_timeout;
        let began = Instant::now();
        let (entries, stream) = (&mut self.entries, &mut page.stream);
        let next = async {
            tokio::select! {
                biased;
                batch = entries.recv() => Ok(batch.map(Arrival::Entries)),
                end = AssertUnwindSafe(stream.next()).catch_unwind() => match end {
                    Err(_panic) => Err(None),
                    Ok(Err(error)) => Err(Some(error)),
                    Ok(Ok(_)) => Ok(Some(Arrival::Done(stream.finish().await))),
                },
            }
        };
        let arrived = timeout(limit.saturating_sub(page.waited), next).await;
        page.waited += began.elapsed();
        match arrived {
            Err(_) => Err(Error::Timeout { step: page.step, limit }),
            Ok(Ok(Some(arrival))) => {
                if let Arrival::Entries(batch) = &arrival {
                    page.entries += batch.len();
                }
                Ok(arrival)
            }
            Ok(Ok(None)) => Err(self.lost(page.step, None).await),
            Ok(Err(None)) => Err(Error::Panicked { step: page.step }),
            Ok(Err(Some(error))) => Err(self.lost(page.step, Some(error)).await),
        }
    }

    fn drain(&mut self) -> Batch {
        let mut rest = Batch::new();
        loop {
            match self.entries.try_recv() {
                Ok(mut batch) => rest.append(&mut batch),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return rest,
            }
        }
    }
}

/// The cookie for the next page, empty at the end. A success without the paging control proves nothing.
fn cookie(result: &LdapResult) -> Result<Vec<u8>, Error> {
    match result.rc {
        0 => {}
        // unavailableCriticalExtension
        12 => return Err(Error::NoPaging),
        code => return Err(Error::Refused { step: Step::Search, code, diagnostic: result.text.clone() }),
    }
    let value =
        result.ctrls.iter().find_map(|Control(_, raw)| (raw.ctype == PAGED_RESULTS).then_some(raw.val.as_deref())?);
    let value = value.ok_or(Error::NoPaging)?;
    page_cookie(value).map_err(|source| Error::Malformed { step: Step::Search, source })
}

/// `realSearchControlValue ::= SEQUENCE { size INTEGER, cookie OCTET STRING }` (RFC 2696 §2).
fn page_cookie(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut outer = Reader::new(value);
    let mut parts = Reader::new(outer.require(ber::SEQUENCE)?);
    ber::integer(parts.require(ber::INTEGER)?)?;
    Ok(parts.require(ber::OCTET_STRING)?.to_vec())
}

/// Whether `ldap3` can encode a filter that we found valid.
pub(crate) fn is_encodable(filter: &str) -> bool {
    ldap3::parse_filter(filter).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_cookie_is_read() {
        assert_eq!(page_cookie(b"\x30\x08\x02\x01\x00\x04\x03abc"), Ok(b"abc".to_vec()));
        assert_eq!(page_cookie(b"\x30\x05\x02\x01\x00\x04\x00"), Ok(Vec::new()));
        assert!(page_cookie(b"").is_err());
    }

    proptest! {
        #[test]
        fn a_filter_that_is_valid_can_be_sent(text in "\\(([&|!]?\\([a-z;.:]{0,8}[~<>:]?=[a-z*\\\\2ä ]{0,8}\\)){1,2}\\)|\\([a-z:]{0,6}[~<>:]?=[a-z*\\\\28]{0,6}\\)") {
            if crate::filter::validate(&text).is_ok() {
                prop_assert!(is_encodable(&text), "{}", text);
            }
        }
    }
}

//! Long lists, page by page. A page continues after the last item of the one before, not at an offset, so every page
//! costs the same.

use crate::error::{Error, Result};

/// Most items in one page.
const MAX_LIMIT: u32 = 10_000;

/// Most bytes in one page, unless its first item has more.
const MAX_BYTES: usize = 4 << 20;

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The end of the page before ([`Page::next`]). `None`: from the start.
    pub after: Option<String>,
    /// At most this many items; from 1 to 10,000.
    pub limit: u32,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where to continue. `None`: this was the last page.
    pub next: Option<String>,
}

/// The total number of items of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The number counted.
    pub count: u64,
    /// Whether counting stopped there, and there may be more.
    pub more: bool,
}

impl PageRequest {
    /// The first page.
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The page after this end of another one.
    pub const fn after(next: String, limit: u32) -> Self {
        Self { after: Some(next), limit }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.clamp(1, MAX_LIMIT) as usize
    }

    /// The same page with fewer items, if items of these sizes are too large to hold at once.
    pub(crate) fn fitting(&self, sizes: &[i64]) -> Self {
        let mut room = Room::default();
        let fit = sizes.iter().take_while(|size| room.takes(usize::try_from(**size).unwrap_or(usize::MAX)));
        let limit = u32::try_from(fit.count()).unwrap_or(u32::MAX).max(1);
        Self { after: self.after.clone(), limit: limit.min(self.limit) }
    }

    /// One more than wanted, to see whether there is a next page.
    pub(crate) fn probe(&self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_LIMIT)) + 1
    }

    /// The cursor as the type that the list is ordered by.
    pub(crate) fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>> {
        let parse = |text: &String| text.parse().map_err(|_| bad_cursor());
        self.after.as_ref().map(parse).transpose()
    }
}

/// The remaining room of a page. The first item always fits.
#[derive(Debug)]
pub(crate) struct Room {
    left: usize,
    is_empty: bool,
    is_full: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: MAX_BYTES, is_empty: true, is_full: false }
    }
}

impl Room {
    /// Takes an item of this many bytes if there is room. Once an item did not fit, no further one is taken.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        if self.is_full || (bytes > self.left && !self.is_empty) {
            self.is_full = true;
            return false;
        }
        self.left = self.left.saturating_sub(bytes);
        self.is_empty = false;
        true
    }

    /// Whether an item was left out.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }
}

impl<T> Page<T> {
    /// Removes the extra item, and records where the page ended.
    pub(crate) fn cut(items: Vec<T>, request: &PageRequest, cursor: impl FnOnce(&T) -> String) -> Self {
        Self::within(items, request, &Room::default(), cursor)
    }

    /// Like [`Self::cut`], for items that were read as far as there was room.
    pub(crate) fn within(
        mut items: Vec<T>,
        request: &PageRequest,
        room: &Room,
        cursor: impl FnOnce(&T) -> String,
    ) -> Self {
        let more = room.is_full() || items.len() > request.limit();
        items.truncate(request.limit());
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }

    /// The same page with converted items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}

/// The error for an invalid cursor.
pub(crate) fn bad_cursor() -> Error {
    Error::conflict("the cursor does not belong to this list")
}

//! Lists in pages: `limit` and `cursor` in, `items` and `next_cursor` out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_engine::records::{self, PageRequest};
use postern_engine::services::Listed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;

/// Items of a page unless the request says otherwise.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most items of a page.
pub const MAX_LIMIT: u32 = 1_000;
/// Bytes of a cursor that identify its list.
const TAG_BYTES: usize = 4;

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// The items, in a stable order.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page. `null`: this was the last one.
    pub next_cursor: Option<String>,
    /// How many items the whole list has. Only the first page says; `null` on every other.
    #[serde(default)]
    pub total: Option<Total>,
}

/// How many items a whole list has, counted up to ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Total {
    /// So many were counted.
    pub count: u64,
    /// Counting stopped there, and there are or may be more.
    pub more: bool,
}

impl From<records::Total> for Total {
    fn from(total: records::Total) -> Self {
        Self { count: total.count, more: total.more }
    }
}

/// Which list a cursor belongs to: the resource, and the filters that it was asked with. A cursor of one list is
/// refused by every other, where it would silently skip or repeat.
#[derive(Clone, Copy)]
pub(super) struct List {
    tag: [u8; TAG_BYTES],
}

impl List {
    /// The list of a resource, narrowed by filters.
    pub(super) fn new(resource: &str, filters: &[&dyn std::fmt::Debug]) -> Self {
        let hash = blake3::hash(format!("{resource} {filters:?}").as_bytes());
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hash.as_bytes()[..TAG_BYTES]);
        Self { tag }
    }

    /// What to ask the service for.
    pub(super) fn request(self, limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::parameter("limit", format!("it must be from 1 to {MAX_LIMIT}")));
        }
        let after = cursor.map(|cursor| self.open(cursor)).transpose()?;
        Ok(PageRequest { after, limit })
    }

    /// A page as it is answered.
    pub(super) fn answer<R, T>(self, Listed { page, total }: Listed<R>, view: impl FnMut(R) -> T) -> Listing<T> {
        let next_cursor = page.next.map(|at| self.seal(&at));
        Listing { items: page.items.into_iter().map(view).collect(), next_cursor, total: total.map(Total::from) }
    }

    /// The same where an item may turn out to be unreadable.
    pub(super) fn try_answer<R, T>(
        self,
        Listed { page, total }: Listed<R>,
        view: impl FnMut(R) -> Result<T, Problem>,
    ) -> Result<Listing<T>, Problem> {
        let items = page.items.into_iter().map(view).collect::<Result<_, _>>()?;
        Ok(Listing { items, next_cursor: page.next.map(|at| self.seal(&at)), total: total.map(Total::from) })
    }

    fn seal(self, after: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.tag[..], after.as_bytes()].concat())
    }

    fn open(self, cursor: &str) -> Result<String, Problem> {
        let wrong = || {
            Problem::parameter("cursor", "it is not one of this list").cure(
                "Pass next_cursor of the page before unchanged, with the same filters; or start without a cursor.",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let after = bytes.strip_prefix(&self.tag).ok_or_else(wrong)?;
        String::from_utf8(after.to_vec()).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let list = List::new("accounts", &[&"corp"]);
        let cursor = list.seal("2024|ü");
        assert_eq!(list.request(None, Some(&cursor)).unwrap().after.as_deref(), Some("2024|ü"));
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = List::new("accounts", &[&"corp"]).seal("x");
        for other in [List::new("accounts", &[&"lab"]), List::new("users", &[&"corp"])] {
            let problem = other.request(None, Some(&cursor)).unwrap_err();
            assert_eq!(problem.document().errors[0].field, "cursor");
        }
        assert!(List::new("users", &[]).request(None, Some("%%%")).is_err());
    }

    #[test]
    fn limits_are_kept() {
        let list = List::new("users", &[]);
        for (limit, fits) in
            [(None, true), (Some(1), true), (Some(1_000), true), (Some(0), false), (Some(1_001), false)]
        {
            assert_eq!(list.request(limit, None).is_ok(), fits, "{limit:?}");
        }
        assert_eq!(list.request(None, None).unwrap().limit, DEFAULT_LIMIT);
    }
}

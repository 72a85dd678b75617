//! Lists in pages: `limit` and `cursor` in, `items` and `next_cursor` out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_store::PageRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;

/// Items of a page unless the request says otherwise.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most items of a page.
pub const MAX_LIMIT: u32 = 1_000;
/// Bytes of a cursor that tell which list it belongs to.
const TAG_BYTES: usize = 4;
/// Between the name of a list and the place in it; no name contains it.
const SEPARATOR: char = '/';

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

impl From<postern_store::Total> for Total {
    fn from(total: postern_store::Total) -> Self {
        Self { count: total.count, more: total.more }
    }
}

/// How many items the list has whose page this is. Only a first page that is not the whole list has to be counted for.
pub(super) async fn total<R>(
    request: &PageRequest,
    page: &postern_store::Page<R>,
    count: impl Future<Output = postern_store::Result<postern_store::Total>>,
) -> Result<Option<Total>, Problem> {
    match (&request.after, &page.next) {
        (Some(_), _) => Ok(None),
        (None, None) => Ok(Some(Total { count: page.items.len() as u64, more: false })),
        (None, Some(_)) => Ok(Some(count.await?.into())),
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

    /// What to ask the store for.
    pub(super) fn request(self, limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::parameter("limit", format!("it must be from 1 to {MAX_LIMIT}")));
        }
        let after = cursor.map(|cursor| self.open(cursor)).transpose()?;
        Ok(PageRequest { after, limit })
    }

    /// The store's page as it is answered.
    pub(super) fn answer<R, T>(
        self,
        page: postern_store::Page<R>,
        total: Option<Total>,
        view: impl FnMut(R) -> T,
    ) -> Listing<T> {
        let next_cursor = page.next.map(|at| self.seal(&at));
        Listing { items: page.items.into_iter().map(view).collect(), next_cursor, total }
    }

    /// The same where an item may turn out to be unreadable.
    pub(super) fn try_answer<R, T>(
        self,
        page: postern_store::Page<R>,
        total: Option<Total>,
        view: impl FnMut(R) -> Result<T, Problem>,
    ) -> Result<Listing<T>, Problem> {
        let items = page.items.into_iter().map(view).collect::<Result<_, _>>()?;
        Ok(Listing { items, next_cursor: page.next.map(|at| self.seal(&at)), total })
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

/// A page of several lists, one after the other. Each has a name, which the cursor carries; `fetch` asks for a page of
/// the list with a number.
pub(super) async fn chained<R, F>(
    names: &[String],
    request: &PageRequest,
    fetch: impl Fn(usize, PageRequest) -> F,
) -> Result<postern_store::Page<R>, Problem>
where
    F: Future<Output = postern_store::Result<postern_store::Page<R>>>,
{
    let (mut number, mut after) = match request.after.as_deref().map(|cursor| cursor.split_once(SEPARATOR)) {
        None => (0, None),
        Some(found) => {
            let place = found.and_then(|(name, after)| Some((names.iter().position(|known| known == name)?, after)));
            let (number, after) = place.ok_or_else(gone)?;
            (number, Some(after.to_owned()).filter(|after| !after.is_empty()))
        }
    };
    let mut items = Vec::new();
    while let Some(name) = names.get(number) {
        let wanted = request.limit - u32::try_from(items.len()).unwrap_or(request.limit);
        if wanted == 0 {
            return Ok(postern_store::Page { items, next: Some(format!("{name}{SEPARATOR}")) });
        }
        let page = fetch(number, PageRequest { after: after.take(), limit: wanted }).await?;
        items.extend(page.items);
        if let Some(next) = page.next {
            return Ok(postern_store::Page { items, next: Some(format!("{name}{SEPARATOR}{next}")) });
        }
        number += 1;
    }
    Ok(postern_store::Page { items, next: None })
}

fn gone() -> Problem {
    Problem::parameter("cursor", "what it stood in has gone").cure("Start again without a cursor.")
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

    async fn numbers(list: usize, request: PageRequest) -> postern_store::Result<postern_store::Page<String>> {
        // Lists of 0, 1, 2, 3 … items.
        let start: usize = request.after.map_or(0, |after| after.parse().unwrap());
        let end = list.min(start + request.limit as usize);
        let next = (end < list).then(|| end.to_string());
        Ok(postern_store::Page { items: (start..end).map(|item| format!("{list}.{item}")).collect(), next })
    }

    #[tokio::test]
    async fn lists_follow_each_other_without_gap_or_repetition() {
        let names: Vec<String> = (0..5).map(|number| format!("list{number}")).collect();
        let whole = chained(&names, &PageRequest { after: None, limit: 100 }, numbers).await.unwrap();
        assert_eq!((whole.items.len(), &whole.next), (10, &None));
        for limit in 1..=11 {
            let (mut request, mut items) = (PageRequest { after: None, limit }, Vec::new());
            loop {
                let page = chained(&names, &request, numbers).await.unwrap();
                assert!(page.items.len() <= limit as usize);
                items.extend(page.items);
                match page.next {
                    Some(next) => request.after = Some(next),
                    None => break,
                }
            }
            assert_eq!(items, whole.items, "limit {limit}");
        }
    }

    #[tokio::test]
    async fn a_list_that_has_gone_is_told() {
        let request = PageRequest { after: Some("gone/1".to_owned()), limit: 1 };
        assert_eq!(chained(&["here".to_owned()], &request, numbers).await.unwrap_err().document().status, 400);
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

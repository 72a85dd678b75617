//! Lists in pages, with the total number of items.

use super::error::{Error, Result};
use crate::records::{Page, PageRequest, Total};

/// Separates the name of a list and the position in it; no name contains it.
const SEPARATOR: char = '/';

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The page.
    pub page: Page<T>,
    /// How many items the whole list has. Only on the first page.
    pub total: Option<Total>,
}

type Read<T> = postern_store::Result<T>;

/// A page with its total, which is counted only if the first page is not the whole list.
pub(super) async fn listed<T>(
    request: &PageRequest,
    page: Page<T>,
    count: impl Future<Output = Read<Total>>,
) -> Result<Listed<T>> {
    let total = match (&request.after, &page.next) {
        (Some(_), _) => None,
        (None, None) => Some(Total { count: page.items.len() as u64, more: false }),
        (None, Some(_)) => Some(count.await?),
    };
    Ok(Listed { page, total })
}

/// A page of a list that is too expensive to count: it has a total only if the first page is the whole list.
pub(super) fn uncounted<T>(request: &PageRequest, page: Page<T>) -> Listed<T> {
    let whole = request.after.is_none() && page.next.is_none();
    let total = whole.then_some(Total { count: page.items.len() as u64, more: false });
    Listed { page, total }
}

/// A page of several lists in a row. Each has a name, which is part of the cursor; `fetch` reads a page of the list
/// with a number.
pub(super) async fn chained<T, F>(
    names: &[String],
    request: &PageRequest,
    fetch: impl Fn(usize, PageRequest) -> F,
) -> Result<Page<T>>
where
    F: Future<Output = Read<Page<T>>>,
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
            return Ok(Page { items, next: Some(format!("{name}{SEPARATOR}")) });
        }
        let page = fetch(number, PageRequest { after: after.take(), limit: wanted }).await?;
        items.extend(page.items);
        if let Some(next) = page.next {
            return Ok(Page { items, next: Some(format!("{name}{SEPARATOR}{next}")) });
        }
        number += 1;
    }
    Ok(Page { items, next: None })
}

fn gone() -> Error {
    Error::Query {
        parameter: "cursor",
        detail: "what it stood in has gone".to_owned(),
        cure: Some("Start again without a cursor."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn numbers(list: usize, request: PageRequest) -> Read<Page<String>> {
        // Lists of 0, 1, 2, 3 … items.
        let start: usize = request.after.map_or(0, |after| after.parse().unwrap());
        let end = list.min(start + request.limit as usize);
        let next = (end < list).then(|| end.to_string());
        Ok(Page { items: (start..end).map(|item| format!("{list}.{item}")).collect(), next })
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
    async fn a_list_that_is_gone_is_reported() {
        let request = PageRequest { after: Some("gone/1".to_owned()), limit: 1 };
        let error = chained(&["here".to_owned()], &request, numbers).await.unwrap_err();
        assert!(matches!(error, Error::Query { parameter: "cursor", .. }), "{error}");
    }
}

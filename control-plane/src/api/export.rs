//! Long lists as files: CSV that no spreadsheet runs, or a JSON object a line. A page is read and sent at a time, and the
//! token is checked before each.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use postern_engine::records::{Page, PageRequest};
use postern_engine::spreadsheet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::auth::{Caller, identify};
use super::problem::Problem;

/// Items that are read at a time.
const PAGE: u32 = 1_000;

/// The form of an exported list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Comma-separated values, with a first line of names.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// What is exported: an item with its lines of CSV.
pub(super) trait Exported: Serialize {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// Its lines, mostly one: the cells in the order of the columns.
    fn lines(self) -> Vec<Vec<String>>;
}

/// Reads a page of a list, for a caller who may read it. It opens the service, and so checks the right.
pub(super) type Read<T> =
    Box<dyn Fn(Api, Caller, PageRequest) -> BoxFuture<'static, Result<Page<T>, Problem>> + Send + Sync>;

/// Answers a list as a file of this name, without the ending.
pub(super) fn answer<T: Exported + Send + 'static>(
    api: Api,
    headers: HeaderMap,
    format: ExportFormat,
    name: &str,
    read: Read<T>,
) -> Response {
    let export = Export { api, headers, format, read, next: Next::Start };
    // A server may ask once more after the end.
    let body = Body::from_stream(stream::unfold(export, Export::next).fuse());
    let (kind, ending) = match format {
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        ExportFormat::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let disposition = format!("attachment; filename=\"{name}.{ending}\"");
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response()
}

/// An export under way: a page at a time.
struct Export<T> {
    api: Api,
    /// The token, which may be revoked before the export ends.
    headers: HeaderMap,
    format: ExportFormat,
    read: Read<T>,
    next: Next,
}

/// Where the next page starts.
enum Next {
    Start,
    After(String),
    /// That was all.
    Nowhere,
}

impl<T: Exported + Send> Export<T> {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        let after = match std::mem::replace(&mut self.next, Next::Nowhere) {
            Next::Start => None,
            Next::After(cursor) => Some(cursor),
            Next::Nowhere => return None,
        };
        let first = after.is_none();
        let chunk = match self.page(after).await {
            Ok(page) => {
                self.next = page.next.map_or(Next::Nowhere, Next::After);
                written(self.format, first, page.items).map_err(std::io::Error::other)
            }
            Err(problem) => {
                tracing::warn!(error = %problem.document().detail, "api.export_failed");
                Err(std::io::Error::other(problem.document().title.clone()))
            }
        };
        Some((chunk, self))
    }

    async fn page(&self, after: Option<String>) -> Result<Page<T>, Problem> {
        let caller = identify(&self.api, &self.headers, None).await?;
        (self.read)(self.api.clone(), caller, PageRequest { after, limit: PAGE }).await
    }
}

fn written<T: Exported>(format: ExportFormat, first: bool, items: Vec<T>) -> Result<Bytes, serde_json::Error> {
    match format {
        ExportFormat::Ndjson => {
            let mut lines = Vec::new();
            for item in items {
                serde_json::to_writer(&mut lines, &item)?;
                lines.push(b'\n');
            }
            Ok(lines.into())
        }
        ExportFormat::Csv => {
            let mut text = String::new();
            if first {
                text.push_str(&spreadsheet::line(T::COLUMNS));
            }
            for item in items {
                item.lines().into_iter().for_each(|cells| text.push_str(&spreadsheet::line(cells)));
            }
            Ok(text.into())
        }
    }
}

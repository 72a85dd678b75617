//! `/api/v1/jobs/{id}/preview`: what a preview found, user by user and group by group.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use postern_engine::intake::preview::row::{Action, Row};
use postern_engine::jobs::report::value;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::super::Api;
use super::super::auth::Caller;
use super::super::export::{self, ExportFormat, Exported};
use super::super::extract::{Id, Params};
use super::super::page::{List, Listing};
use super::super::problem::Problem;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// Only users and groups that this would happen to. Absent: all.
    action: Option<Action>,
    /// All of them as a file of this form, in place of a page; in CSV each changed value has a line. Absent: a page.
    #[param(inline)]
    format: Option<ExportFormat>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

/// Lists what a preview found
///
/// Users first, then groups. At most 100,000 are listed; the result of the job counts all of them.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/preview", tag = "jobs", operation_id = "list_preview",
    params(("id" = String, Path, description = "Id of the job, or its beginning"), PreviewQuery),
    responses((status = 200, content(
        (Listing<Row> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")))))]
pub(super) async fn rows(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    headers: HeaderMap,
    Params(query): Params<PreviewQuery>,
) -> Result<Response, Problem> {
    let PreviewQuery { action, format, limit, cursor } = query;
    let list = List::new("preview", &[&id, &action]);
    let request = list.request(limit, cursor.as_deref())?;
    // Also before a file begins: whether there is such a preview.
    let found = api.services.jobs(&caller.actor)?.preview(&id, action, &request).await?;
    let Some(format) = format else { return Ok(Json(list.answer(found, |row| row)).into_response()) };
    let read: export::Read<Row> = Box::new(move |api, caller, page| {
        let id = id.clone();
        async move { Ok::<_, Problem>(api.services.jobs(&caller.actor)?.preview(&id, action, &page).await?.page) }
            .boxed()
    });
    Ok(export::answer(api.clone(), headers, format, "preview", read))
}

impl Exported for Row {
    const COLUMNS: &'static [&'static str] =
        &["kind", "name", "dn", "container", "actions", "waits", "attribute", "before", "after"];

    fn lines(self) -> Vec<Vec<String>> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let waits = if self.waits { "yes" } else { "no" }.to_owned();
        let head = [self.kind.clone(), text(&self.name), text(&self.dn), text(&self.container), actions(&self), waits];
        let mut values = lines(&self);
        if values.is_empty() {
            values.push(Default::default());
        }
        values.into_iter().map(|value| head.iter().cloned().chain(value).collect()).collect()
    }
}

/// What happens to a row, in one word each.
pub(crate) fn actions(row: &Row) -> String {
    row.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(" ")
}

/// What changes in a row: attribute, before and after.
pub(crate) fn lines(row: &Row) -> Vec<[String; 3]> {
    let text = |shown: &Value| if shown.is_null() { String::new() } else { value(shown) };
    let mut lines: Vec<[String; 3]> = row
        .changes
        .iter()
        .map(|change| [change.attribute.clone(), text(&change.before), text(&change.after)])
        .collect();
    lines.extend(row.account_attributes.iter().map(|name| [format!("account {name}"), String::new(), String::new()]));
    if let Some(members) = &row.members {
        for (name, count, names) in [
            ("members added", members.added, &members.added_names),
            ("members removed", members.removed, &members.removed_names),
        ] {
            if count > 0 {
                let more = if count > names.len() as u64 { ", …" } else { "" };
                lines.push([name.to_owned(), String::new(), format!("{count}: {}{more}", names.join(", "))]);
            }
        }
    }
    lines
}

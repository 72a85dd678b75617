//! `/api/v1/audit`: who changed what. Each entry's hash covers the entry before it, so the log can be verified.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use postern_engine::records::{AuditEntry, AuditFault, AuditVerdict};
use postern_engine::services::audit::{AuditFilter, head_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::export::{self, ExportFormat, Exported};
use super::extract::Params;
use super::page::{List, Listing};
use super::problem::Problem;

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditEntryView {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// When the change was made.
    pub at: Timestamp,
    /// Who made it: the id of an API token or of a schedule, `machine`, or `system` for what happens by itself.
    pub actor: String,
    /// What people call them.
    pub actor_name: String,
    /// The network address that the request came from. `null`: from the control plane's machine or a schedule.
    pub address: Option<String>,
    /// What was done, such as `token.revoked`.
    pub action: String,
    /// Id of the object that was changed. `null`: it has none.
    pub object_id: Option<Uuid>,
    /// What people call the object.
    pub object: String,
    /// What the object was before, secrets masked. `null`: it did not exist, or nothing of it is kept.
    pub before: Option<Value>,
    /// What it is after the change. `null`: it does not exist any more, or the action says it all.
    pub after: Option<Value>,
    /// SHA-256 over this entry and the hash of the one before it, in hexadecimal digits.
    pub hash: String,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(AuditEntry { seq, note, hash }: AuditEntry) -> Self {
        let hash = head_text(seq, hash);
        Self {
            seq,
            at: note.at,
            actor: note.actor,
            actor_name: note.actor_name,
            address: note.address,
            action: note.action,
            object_id: note.object_id,
            object: note.object,
            before: note.before,
            after: note.after,
            hash: hash.split_once(':').map_or_else(String::new, |(_, hex)| hex.to_owned()),
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditVerdict)]
pub struct AuditVerdictView {
    /// The log is as it was written.
    pub whole: bool,
    /// So many entries were read.
    pub entries: u64,
    /// The last entry that is no longer kept, as `SEQ:HASH`. `null`: all entries are kept.
    pub anchor: Option<String>,
    /// The end of the log, as `SEQ:HASH`. Note it outside of the control plane, and pass it as `known` later. `null`: the log
    /// is empty.
    pub head: Option<String>,
    /// The place of the first entry that is wrong. `null`: none is.
    pub wrong_seq: Option<u64>,
    /// What is wrong with it: `changed`, `missing`, `foreign` (it is outside of the log), `removed` (it and those before it
    /// are gone, but not because they were too old), or `not_kept` (`known` is an entry that became too old: nothing can be
    /// compared with it). `null`: nothing.
    pub fault: Option<String>,
}

impl From<AuditVerdict> for AuditVerdictView {
    fn from(verdict: AuditVerdict) -> Self {
        let text = |head: postern_engine::records::AuditHead| (head.seq > 0).then(|| head_text(head.seq, head.hash));
        let (wrong_seq, fault) = match verdict.fault {
            Some(AuditFault::Changed(seq)) => (Some(seq), Some("changed")),
            Some(AuditFault::Missing(seq)) => (Some(seq), Some("missing")),
            Some(AuditFault::Foreign(seq)) => (Some(seq), Some("foreign")),
            Some(AuditFault::Anchor(seq)) => (Some(seq), Some("removed")),
            Some(AuditFault::NotKept(seq)) => (Some(seq), Some("not_kept")),
            None => (None, None),
        };
        Self {
            whole: fault.is_none(),
            entries: verdict.entries,
            anchor: text(verdict.anchor),
            head: text(verdict.head),
            wrong_seq,
            fault: fault.map(str::to_owned),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Id or name of the token or schedule that made the change. Absent: all.
    actor: Option<String>,
    /// An action, such as `token.revoked`, or all of a kind of object, such as `token`. Absent: all.
    action: Option<String>,
    /// Id or name of the object that was changed. Absent: all.
    object: Option<String>,
    /// Only changes made at this time or later. Absent: from the beginning.
    since: Option<Timestamp>,
    /// Only changes made before this time. Absent: until now.
    until: Option<Timestamp>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// The form of the answer.
    format: ExportFormat,
    /// As for the list. Absent: everybody.
    actor: Option<String>,
    /// As for the list. Absent: all.
    action: Option<String>,
    /// As for the list. Absent: all.
    object: Option<String>,
    /// As for the list. Absent: from the beginning.
    since: Option<Timestamp>,
    /// As for the list. Absent: until now.
    until: Option<Timestamp>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VerifyQuery {
    /// An end of the log that was noted earlier, as `SEQ:HASH`: the log must still contain it. Absent: only the log itself
    /// is looked at.
    known: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export)).routes(routes!(verify))
}

/// Lists changes, the latest first
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit", params(AuditQuery),
    responses((status = 200, body = Listing<AuditEntryView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Listing<AuditEntryView>>, Problem> {
    let audit = api.services.audit(&caller.actor)?;
    let AuditQuery { actor, action, object, since, until, limit, cursor } = query;
    let filter = AuditFilter { actor, action, object, since, until };
    let list = List::new("audit", &[&filter]);
    let found = audit.list(&filter, &list.request(limit, cursor.as_deref())?).await?;
    Ok(Json(list.answer(found, AuditEntryView::from)))
}

/// Verifies the log
///
/// Reads all entries that are kept and computes their hashes anew. It finds entries that were edited, removed, added or
/// moved.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", operation_id = "verify_audit", params(VerifyQuery),
    responses((status = 200, body = AuditVerdictView)))]
async fn verify(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<VerifyQuery>,
) -> Result<Json<AuditVerdictView>, Problem> {
    Ok(Json(api.services.audit(&caller.actor)?.verify(query.known.as_deref()).await?.into()))
}

/// Exports the log as a file, the latest entries first
///
/// An export that ends early ends in the middle of a line or with the connection: compare `seq` of the last entry with 1,
/// or with the entry after the anchor.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", operation_id = "export_audit", params(ExportQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
async fn export(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<ExportQuery>,
) -> Result<Response, Problem> {
    api.services.audit(&caller.actor)?;
    let ExportQuery { format, actor, action, object, since, until } = query;
    let filter = AuditFilter { actor, action, object, since, until };
    let read: export::Read<AuditEntryView> = Box::new(move |api, caller, page| {
        let filter = filter.clone();
        async move {
            let found = api.services.audit(&caller.actor)?.list(&filter, &page).await?;
            Ok::<_, Problem>(found.page.map(AuditEntryView::from))
        }
        .boxed()
    });
    Ok(export::answer(api.clone(), headers, format, "audit", read))
}

impl Exported for AuditEntryView {
    const COLUMNS: &'static [&'static str] =
        &["seq", "at", "actor", "actor_name", "address", "action", "object_id", "object", "before", "after", "hash"];

    fn lines(self) -> Vec<Vec<String>> {
        let json = |value: Option<Value>| value.map(|value| value.to_string()).unwrap_or_default();
        vec![vec![
            self.seq.to_string(),
            self.at.to_string(),
            self.actor,
            self.actor_name,
            self.address.unwrap_or_default(),
            self.action,
            self.object_id.map(|id| id.to_string()).unwrap_or_default(),
            self.object,
            json(self.before),
            json(self.after),
            self.hash,
        ]]
    }
}

//! The resources of `/api/v1`, and their description.

use utoipa_axum::router::OpenApiRouter;

use super::{
    Api, accounts, agents, attributes, audit, bulk_users, change_groups, change_users, conflicts, consequences,
    directories, directory_order, enrollment_tokens, groups, jobs, link_accounts, mapping, mapping_preview, matching,
    merge_users, openapi, organization, outbound_mapping, passwords, plans, provisioning, provisioning_report,
    schedules, tokens, users,
};

/// The routes that need a token.
pub(super) fn routes() -> OpenApiRouter<Api> {
    openapi::start()
        .merge(organization::routes())
        .merge(tokens::routes())
        .merge(enrollment_tokens::routes())
        .merge(agents::routes())
        .merge(directories::routes())
        .merge(directory_order::routes())
        .merge(mapping::routes())
        .merge(mapping_preview::routes())
        .merge(matching::routes())
        .merge(outbound_mapping::routes())
        .merge(provisioning::routes())
        .merge(plans::routes())
        .merge(provisioning_report::routes())
        .merge(consequences::routes())
        .merge(link_accounts::routes())
        .merge(passwords::routes())
        .merge(jobs::routes())
        .merge(schedules::routes())
        .merge(accounts::routes())
        .merge(users::routes())
        .merge(change_users::routes())
        .merge(bulk_users::routes())
        .merge(merge_users::routes())
        .merge(groups::routes())
        .merge(change_groups::routes())
        .merge(conflicts::routes())
        .merge(audit::routes())
        .merge(attributes::routes())
}

/// The finished description, as `/api/v1/openapi.json` answers it.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().into_openapi())
}

/// The description as text.
pub fn document_json() -> Result<String, serde_json::Error> {
    document().to_pretty_json().map(|text| text + "\n")
}

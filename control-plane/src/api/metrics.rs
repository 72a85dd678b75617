//! What the metrics mean, and those that the database knows: when each directory was last imported.

use std::fmt::Write as _;

use postern_engine::records::LastImport;
use postern_engine::services::Services;
use postern_runtime::supervise::chain;

const LAST_IMPORT: &str = "postern_directory_last_import_timestamp_seconds";

/// Says for each metric what it is. To be called once the recorder is there.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        ::metrics::describe_counter!(*name, *help);
    }
    ::metrics::describe_gauge!("postern_gateway_sessions", "Agents that have a session with this replica.");
    ::metrics::describe_histogram!("postern_api_request_seconds", "How long requests to the API took, seconds.");
}

const COUNTERS: &[(&str, &str)] = &[
    ("postern_api_refused_total", "Requests to the API without a valid token."),
    ("postern_api_requests_total", "Requests to the API, by status."),
    ("postern_api_throttled_total", "Requests to the API from addresses with too many refused tokens."),
    ("postern_gateway_connections_refused_total", "Connections of agents refused because there were too many."),
    ("postern_gateway_enrollments_refused_total", "Enrollments refused."),
    ("postern_gateway_enrollments_throttled_total", "Enrollments from addresses with too many refused ones."),
    ("postern_gateway_enrollments_total", "Agents enrolled."),
    ("postern_gateway_handshakes_failed_total", "TLS handshakes of agents that failed."),
    ("postern_gateway_shared_identities_total", "Times that one agent's identity was seen on two machines."),
    ("postern_gateway_unknown_frames_total", "Frames of agents that this release does not know."),
    ("postern_intake_entries_total", "Entries of directories stored."),
    ("postern_jobs_created_total", "Jobs started, by kind."),
    ("postern_jobs_ended_total", "Jobs that ended, by state."),
];

/// When the last import of each directory succeeded, in Prometheus' text format. Nothing where the database does not
/// answer: the other metrics are shown all the same.
pub(super) async fn last_imports(services: &Services) -> String {
    match services.last_imports().await {
        Ok(imports) => text(&imports),
        Err(error) => {
            tracing::warn!(error = chain(&error), "metrics.last_imports_unknown");
            String::new()
        }
    }
}

fn text(imports: &[LastImport]) -> String {
    if imports.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "# HELP {LAST_IMPORT} When the last import of a directory succeeded, seconds since 1970; 0 before the first.\n\
         # TYPE {LAST_IMPORT} gauge\n"
    );
    for LastImport { organization, directory, at } in imports {
        let (organization, directory) = (escaped(organization), escaped(directory));
        let seconds = at.map_or(0, jiff::Timestamp::as_second);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{LAST_IMPORT}{{organization=\"{organization}\",directory=\"{directory}\"}} {seconds}");
    }
    text
}

/// A label's value as the text format writes it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_has_a_line_whatever_its_organization_is_called() {
        let at = jiff::Timestamp::from_second(1_800_000_000).ok();
        let import = |organization: &str, directory: &str, at| LastImport {
            organization: organization.to_owned(),
            directory: directory.to_owned(),
            at,
        };
        let text = text(&[import("Acme \"\\\n", "corp", at), import("b", "lab", None)]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"postern_directory_last_import_timestamp_seconds{organization="Acme \"\\\n",directory="corp"} 1800000000"#,
                r#"postern_directory_last_import_timestamp_seconds{organization="b",directory="lab"} 0"#,
            ]
        );
        assert_eq!(super::text(&[]), "");
    }
}

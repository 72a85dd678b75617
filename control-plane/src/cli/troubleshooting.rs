//! docs/troubleshooting.md, the control plane's part: codes of failed jobs and operations, and problems that the API answers
//! with. Made from the code, so that none is missing.

use std::fmt::Write as _;

use postern_engine::jobs::codes::CODES;

use super::super::api::problem::Kind;

pub(super) fn markdown() -> String {
    let mut text = String::from(
        "# Troubleshooting\n\nMade by `postern docs troubleshooting` and `postern-agent docs troubleshooting`; do not edit. \
         Begin with `postern-agent check` on the agent's machine: it tries each step and says what to do. \
         [failures.md](failures.md) describes how Postern behaves when something fails.\n\n\
         ## Jobs and operations\n\n`postern jobs show ID` and `postern provisioning report` show a code and a message that says \
         more.\n\n| code | meaning | what to do |\n| --- | --- | --- |\n",
    );
    for (code, meaning, cure) in CODES {
        let _ = writeln!(text, "| `{code}` | {meaning} | {cure} |");
    }
    text.push_str(
        "\n## Answers of the API\n\nThe body of each is a problem document (RFC 9457) with `detail`, and `cure` where there \
         is one.\n\n| status | type | meaning | what to do |\n| --- | --- | --- | --- |\n",
    );
    for kind in Kind::ALL {
        let (status, name, title) = kind.shown();
        let _ = writeln!(text, "| {status} | `{name}` | {title} | {} |", kind.cure());
    }
    text
}

//! Converts between the messages of the wire and the types of this program. Only this module and the gateway's streams
//! know the generated types.

use std::time::Duration;

use jiff::Timestamp;
use postern_proto::limits::{MAX_DN_BYTES, MAX_HELD_COMMANDS, MAX_ROWS};
use postern_proto::{directory_name, text, v1};
use postern_store::{AccountKind, Digests, Flavour, JobId, Sight, SoughtAccount};

use crate::intake::source::Source;
use crate::jobs::command::{AgentOutcome, AgentProgress, Command};
use crate::jobs::failure::Failure;

/// Limits of an import's source: marks of servers, and bytes of each id and value.
const MAX_MARKS: usize = 1_000;
const MAX_MARK_BYTES: usize = 100;

/// A directory that an agent announces, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Name of the directory.
    pub name: String,
    /// Its flavour.
    pub flavour: Flavour,
    /// Why the agent cannot use it now, and what to do.
    pub problem: Option<String>,
    /// The configuration that the agent reads it by.
    pub configuration: Digests,
}

/// The directories that an agent announces, and the names among them that are invalid.
pub fn served(directories: Vec<v1::ServedDirectory>) -> (Vec<Served>, Vec<String>) {
    let (usable, others): (Vec<_>, Vec<_>) =
        directories.into_iter().partition(|directory| directory_name::is_valid(&directory.name));
    let mut served: Vec<Served> = usable
        .into_iter()
        .map(|directory| Served {
            flavour: flavour(directory.flavour()),
            problem: text::optional(&directory.problem),
            configuration: Digests { users: digest(&directory.users_digest), groups: digest(&directory.groups_digest) },
            name: directory.name,
        })
        .collect();
    served.sort_by(|one, other| one.name.cmp(&other.name));
    served.dedup_by(|later, earlier| later.name == earlier.name);
    let mut nameless: Vec<String> = others.iter().filter_map(|other| text::optional(&other.name)).collect();
    nameless.truncate(MAX_ROWS);
    (served, nameless)
}

fn flavour(flavour: v1::Flavour) -> Flavour {
    match flavour {
        v1::Flavour::Unspecified => Flavour::Unknown,
        v1::Flavour::Generic => Flavour::Generic,
        v1::Flavour::ActiveDirectory => Flavour::ActiveDirectory,
        v1::Flavour::Openldap => Flavour::OpenLdap,
        v1::Flavour::Ds389 => Flavour::Ds389,
    }
}

/// The commands that an agent still holds, without those whose id is invalid.
pub fn held(commands: &[v1::HeldCommand]) -> Vec<(JobId, u32)> {
    // Those beyond an agent's limit are not looked up.
    let held = commands.iter().take(MAX_HELD_COMMANDS);
    held.filter_map(|held| Some((held.command_id.parse().ok()?, held.generation))).collect()
}

/// A command for an agent.
pub fn command(command: Command) -> v1::Command {
    v1::Command {
        command_id: command.job.to_string(),
        generation: command.attempt,
        directory: command.directory,
        timeout_ms: u64::try_from(command.timeout.as_millis()).unwrap_or(u64::MAX),
        kind: Some(command.work),
    }
}

/// A frame for an agent.
pub fn frame(kind: v1::control_frame::Kind) -> v1::ControlFrame {
    v1::ControlFrame { kind: Some(kind) }
}

/// Asks an agent what became of these accounts.
pub fn look_again(accounts: &[SoughtAccount]) -> v1::chunk_ack::LookAgain {
    let sought = |account: &SoughtAccount| v1::chunk_ack::Sought {
        kind: match account.kind {
            AccountKind::User => v1::SoughtKind::User,
            AccountKind::Group => v1::SoughtKind::Group,
        }
        .into(),
        external_id: account.external_key.to_text(),
        // A DN beyond the limit is not sent: no directory has one.
        last_dn: if account.dn.len() > MAX_DN_BYTES { String::new() } else { account.dn.clone() },
    };
    v1::chunk_ack::LookAgain { entries: accounts.iter().map(sought).collect() }
}

/// The source of an import. A value beyond its limit counts as unknown.
pub fn source(from: v1::Source) -> Source {
    let is_short = |text: &str| text.len() <= MAX_MARK_BYTES;
    let marks = if from.marks.len() <= MAX_MARKS { from.marks } else { Vec::new() };
    let marks = marks.into_iter().filter(|mark| is_short(&mark.server) && is_short(&mark.value));
    Source {
        at: None,
        server: if is_short(&from.server) { text::clean(&from.server) } else { String::new() },
        marks: marks.map(|mark| (text::clean(&mark.server), text::clean(&mark.value))).collect(),
        users_digest: digest(&from.users_digest),
        groups_digest: digest(&from.groups_digest),
    }
}

/// A digest of a part of an agent's configuration. One of another length counts as unknown.
fn digest(bytes: &[u8]) -> Option<String> {
    Some(blake3::Hash::from_bytes(bytes.try_into().ok()?).to_hex().to_string())
}

/// What an agent found of an account; `None` if the account is there and should have come.
pub fn sight(byte: u8) -> Option<Sight> {
    Some(match v1::Sight::try_from(i32::from(byte)).unwrap_or_default() {
        v1::Sight::InScope => return None,
        v1::Sight::LeftScope => Sight::LeftScope,
        v1::Sight::LeftScopeDisabled => Sight::LeftScopeDisabled,
        v1::Sight::Absent => Sight::Absent,
        v1::Sight::NoExternalId => Sight::NoExternalId,
        v1::Sight::Referral => Sight::Referral,
        v1::Sight::ContainerUnreadable => Sight::ContainerUnreadable,
        v1::Sight::ContainerNotFound => Sight::ContainerNotFound,
        v1::Sight::HiddenChildren => Sight::HiddenChildren,
        v1::Sight::Unavailable => Sight::Unavailable,
        // A value that this release does not know does not mean gone.
        v1::Sight::NotVisible | v1::Sight::Unspecified => Sight::NotVisible,
    })
}

/// A time as milliseconds since 1970.
pub fn unix_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The progress of a command; `None` if it names no command.
pub fn progress(progress: &v1::Progress) -> Option<AgentProgress> {
    Some(AgentProgress {
        job: progress.command_id.parse().ok()?,
        attempt: progress.generation,
        entries_read: progress.entries_read,
        pages_read: progress.pages_read,
        phase: matches!(progress.phase.as_str(), "users" | "groups").then(|| progress.phase.clone()),
    })
}

/// The outcome of a command; `None` if it names no command.
pub fn outcome(outcome: v1::Outcome) -> Option<AgentOutcome> {
    use v1::outcome::Result as Wire;
    let result = match outcome.result {
        Some(Wire::Error(error)) => Err(failure(&error)),
        Some(answer) => Ok(answer),
        None => Err(Failure::new(
            "unsupported",
            "The agent answered with a result that this control plane does not know.",
            "Update the control plane: the agent is of a newer release.",
        )),
    };
    Some(AgentOutcome {
        job: outcome.command_id.parse().ok()?,
        attempt: outcome.generation,
        elapsed: Duration::from_millis(outcome.elapsed_ms),
        result,
    })
}

fn failure(error: &v1::CommandError) -> Failure {
    Failure {
        code: code(error.code()).to_owned(),
        message: text::optional(&error.message).unwrap_or_else(|| "The agent gave no reason.".to_owned()),
        cure: text::optional(&error.cure),
        retryable: error.retryable,
        ldap_result_code: error.ldap_result_code,
    }
}

fn code(code: v1::ErrorCode) -> &'static str {
    match code {
        v1::ErrorCode::Unspecified | v1::ErrorCode::Internal => "internal",
        v1::ErrorCode::Unsupported => "unsupported",
        v1::ErrorCode::Invalid => "invalid",
        v1::ErrorCode::Forbidden => "forbidden",
        v1::ErrorCode::Unreachable => "unreachable",
        v1::ErrorCode::Credentials => "credentials",
        v1::ErrorCode::Directory => "directory",
        v1::ErrorCode::Timeout => "timeout",
        v1::ErrorCode::Canceled => "canceled",
        v1::ErrorCode::NotFound => "not_found",
        v1::ErrorCode::Ambiguous => "ambiguous",
        v1::ErrorCode::DeniedBySitePolicy => "denied_by_site_policy",
        v1::ErrorCode::Conflict => "conflict",
        v1::ErrorCode::NoPassword => "no_password",
    }
}

/// Runs all conversions of a frame, for the fuzz targets: none may panic on any input.
#[doc(hidden)]
pub fn fuzzing(frame: v1::AgentFrame) {
    use v1::agent_frame::Kind;
    match frame.kind {
        Some(Kind::Hello(hello)) => {
            held(&hello.held_commands);
            drop(text::optional(&hello.agent_version));
            drop(text::optional(&hello.os));
            served(hello.directories);
        }
        Some(Kind::Outcome(sent)) => {
            if let Some(Ok(answer)) = outcome(sent).map(|outcome| outcome.result) {
                crate::kinds::fuzzing(answer);
            }
        }
        Some(Kind::Progress(sent)) => {
            progress(&sent);
        }
        Some(Kind::DirectoriesChanged(changed)) => {
            served(changed.directories);
        }
        Some(Kind::Heartbeat(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_an_unusable_name_are_returned_separately_and_none_comes_twice() {
        let directory = |name: &str| v1::ServedDirectory { name: name.into(), flavour: 3, ..Default::default() };
        let names = ["lab", "corp", "", "Corp", "a b", "corp"];
        let (served, nameless) = served(names.into_iter().map(directory).collect());
        assert_eq!(nameless, ["Corp", "a b"]);
        assert_eq!(served.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["corp", "lab"]);
        assert_eq!(served[0].flavour, Flavour::OpenLdap);
    }

    #[test]
    fn an_outcome_of_an_unknown_kind_is_a_failure_with_a_cure() {
        let id = JobId::new();
        let wire = v1::Outcome { command_id: id.to_string(), generation: 2, elapsed_ms: 7, result: None };
        let outcome = outcome(wire).unwrap();
        assert_eq!((outcome.job, outcome.attempt), (id, 2));
        assert!(matches!(outcome.result, Err(failure) if failure.code == "unsupported" && failure.cure.is_some()));
    }
}

//! Between the frames that travel and what the agent means by them. What a command asks and answers is read and written
//! by its kind.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::{self, AgentFrame, outcome};
use postern_proto::{PROTOCOL_MAX, PROTOCOL_MIN, directory_name, limits};
use uuid::Uuid;

use crate::command::{CommandId, Event, Key, Outcome, Progress};
use crate::commands;
use crate::commands::kind::{Asked, Kinds, Request};
use crate::failure::{Class, Code, Failure};
use crate::roster::Announced;
use crate::served::{Flavour, Phase};
use crate::status::Refusals;

/// More commands than this are not named in a Hello.
const MAX_HELD: usize = limits::MAX_HELD_COMMANDS;

/// The first frame of a session.
pub(crate) fn hello(
    directories: Vec<Announced>,
    held: Vec<Key>,
    now: Timestamp,
    instance: Uuid,
    password_key: Bytes,
) -> AgentFrame {
    frame(Up::Hello(v1::Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        agent_version: crate::VERSION.to_owned(),
        os: operating_system(),
        capabilities: Vec::new(),
        directories: directories.into_iter().map(served_directory).collect(),
        held_commands: held.into_iter().take(MAX_HELD).map(held_command).collect(),
        clock_unix_ms: now.as_millisecond(),
        instance: instance.to_string(),
        password_key,
    }))
}

/// The directories after a reload.
pub(crate) fn directories_changed(directories: Vec<Announced>) -> AgentFrame {
    let directories = directories.into_iter().map(served_directory).collect();
    frame(Up::DirectoriesChanged(v1::DirectoriesChanged { directories }))
}

/// The directories that the control plane does not take, with the reason.
pub(crate) fn refused(directories: Vec<v1::RefusedDirectory>) -> Refusals {
    let directories = directories.into_iter().take(2 * limits::MAX_DIRECTORIES);
    directories.map(|refused| (text(&refused.name), text(&refused.reason))).collect()
}

/// A text of the control plane, for the log and for people: cut where it is too long, on one line.
pub(crate) fn text(text: &str) -> String {
    limits::cut(text).chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A sign of life, which may ask for one.
pub(crate) fn heartbeat(echo: bool) -> AgentFrame {
    frame(Up::Heartbeat(v1::Heartbeat { echo }))
}

/// The answer to a heartbeat that asked for one.
pub(crate) fn heartbeat_answer() -> AgentFrame {
    frame(Up::Heartbeat(v1::Heartbeat { echo: false }))
}

/// What has become of a command.
pub(crate) fn event(event: &Event) -> AgentFrame {
    frame(match event {
        Event::Ended(ended) => Up::Outcome(outcome(ended)),
        Event::Progressed(key, progress) => Up::Progress(self::progress(*key, *progress)),
    })
}

/// The outcome of a command that was not even held.
pub(crate) fn not_taken(command_id: String, generation: u32, failure: &Failure) -> AgentFrame {
    let result = Some(outcome::Result::Error(error(failure)));
    frame(Up::Outcome(v1::Outcome { command_id, generation, elapsed_ms: 0, result }))
}

fn frame(kind: Up) -> AgentFrame {
    AgentFrame { kind: Some(kind) }
}

fn operating_system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

fn served_directory(Announced { name, flavour, configuration, problem }: Announced) -> v1::ServedDirectory {
    let flavour = match flavour {
        None => v1::Flavour::Unspecified,
        Some(Flavour::Generic) => v1::Flavour::Generic,
        Some(Flavour::ActiveDirectory) => v1::Flavour::ActiveDirectory,
        Some(Flavour::OpenLdap) => v1::Flavour::Openldap,
        Some(Flavour::Ds389) => v1::Flavour::Ds389,
    };
    let digest = |digest: Option<[u8; 32]>| digest.map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest));
    v1::ServedDirectory {
        name,
        flavour: flavour.into(),
        problem: problem.unwrap_or_default(),
        users_digest: digest(configuration.users),
        groups_digest: digest(configuration.groups),
    }
}

fn held_command(key: Key) -> v1::HeldCommand {
    v1::HeldCommand { command_id: key.id.to_string(), generation: key.generation }
}

/// The key of a command or its acknowledgement; nothing where the id is no UUID.
pub(crate) fn key(command_id: &str, generation: u32) -> Option<Key> {
    Some(Key { id: self::command_id(command_id)?, generation })
}

/// The id of a command; nothing where it is no UUID.
pub(crate) fn command_id(text: &str) -> Option<CommandId> {
    text.parse().ok().map(CommandId)
}

/// A command as it was asked, or why it cannot be one: its id is no UUID, or it says more than any command of ours.
pub(crate) fn request(kinds: Kinds, command: v1::Command) -> Result<Request, Failure> {
    let wrong = |message: &str| Failure::new(Code::Invalid, message);
    let key =
        key(&command.command_id, command.generation).ok_or_else(|| wrong("the id of a command must be a UUID"))?;
    if !directory_name::is_valid(&command.directory) {
        return Err(wrong("a command must name a directory"));
    }
    let asked = Asked::read(kinds, command.kind.as_ref())?;
    Ok(Request {
        key,
        directory: command.directory,
        timeout: (command.timeout_ms > 0).then(|| Duration::from_millis(command.timeout_ms)),
        asked,
    })
}

fn progress(key: Key, progress: Progress) -> v1::Progress {
    let phase = match progress.phase {
        Phase::Users => "users",
        Phase::Groups => "groups",
    };
    v1::Progress {
        command_id: key.id.to_string(),
        generation: key.generation,
        entries_read: progress.entries,
        pages_read: progress.pages,
        phase: phase.to_owned(),
    }
}

fn outcome(ended: &Outcome) -> v1::Outcome {
    let result = match &ended.result {
        Ok(answer) => answer.clone(),
        Err(failure) => outcome::Result::Error(error(failure)),
    };
    v1::Outcome {
        command_id: ended.key.id.to_string(),
        generation: ended.key.generation,
        elapsed_ms: millis(ended.elapsed),
        result: Some(result),
    }
}

fn of_class(class: Class) -> v1::ErrorCode {
    match class {
        Class::Unreachable => v1::ErrorCode::Unreachable,
        Class::Credentials => v1::ErrorCode::Credentials,
        Class::Directory => v1::ErrorCode::Directory,
        Class::Timeout => v1::ErrorCode::Timeout,
        Class::Canceled => v1::ErrorCode::Canceled,
        Class::Internal => v1::ErrorCode::Internal,
        Class::NotFound => v1::ErrorCode::NotFound,
        Class::Ambiguous => v1::ErrorCode::Ambiguous,
    }
}

fn error(failure: &Failure) -> v1::CommandError {
    let code = match failure.code {
        Code::Unsupported => v1::ErrorCode::Unsupported,
        Code::Invalid => v1::ErrorCode::Invalid,
        Code::Forbidden => v1::ErrorCode::Forbidden,
        Code::DeniedBySitePolicy => v1::ErrorCode::DeniedBySitePolicy,
        Code::Conflict => v1::ErrorCode::Conflict,
        Code::NoPassword => v1::ErrorCode::NoPassword,
        Code::Failed(class) => of_class(class),
    };
    v1::CommandError {
        code: code.into(),
        message: failure.message.clone(),
        cure: failure.cure.clone().unwrap_or_default(),
        retryable: failure.retryable,
        ldap_result_code: failure.ldap_result_code,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Converts whatever a control plane may send; for fuzzing.
#[doc(hidden)]
pub fn fuzzing(frame: v1::ControlFrame) {
    use v1::control_frame::Kind as Down;
    match frame.kind {
        Some(Down::Command(command)) => {
            let _ = request(commands::ALL, command);
        }
        Some(Down::Cancel(cancel)) => {
            command_id(&cancel.command_id);
        }
        Some(Down::OutcomeAck(ack)) => {
            key(&ack.command_id, ack.generation);
        }
        Some(Down::DirectoriesRefused(all)) => {
            refused(all.directories);
        }
        Some(Down::Welcome(_) | Down::Heartbeat(_) | Down::Drain(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn command(kind: Option<v1::command::Kind>) -> v1::Command {
        v1::Command {
            command_id: Uuid::nil().to_string(),
            generation: 3,
            directory: "corp".into(),
            timeout_ms: 0,
            kind,
        }
    }

    #[test]
    fn an_unknown_kind_becomes_a_request_that_can_be_answered() {
        let request = request(commands::ALL, command(None)).unwrap();
        assert!(request.asked.is_none());
        assert_eq!((request.key.generation, request.timeout), (3, None));
    }

    #[test]
    fn a_command_without_an_id_is_none() {
        assert!(request(commands::ALL, v1::Command { command_id: "x".into(), ..command(None) }).is_err());
    }

    #[test]
    fn a_command_that_says_too_much_is_refused() {
        assert!(request(commands::ALL, v1::Command { directory: "x".repeat(1 << 20), ..command(None) }).is_err());
    }

    #[test]
    fn a_text_of_the_control_plane_is_cut_and_stays_on_one_line() {
        let hostile = format!("a\nERROR forged\u{1b}[2J{}", "x".repeat(1 << 20));
        let shown = text(&hostile);
        assert!(shown.starts_with("a ERROR forged [2Jx") && shown.len() <= limits::MAX_TEXT_BYTES, "{}", shown.len());
    }
}

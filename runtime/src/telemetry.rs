//! The log: structured, as text for people or JSON for machines; to standard error, or, of a service of Windows, to the event
//! log.

mod format;
mod limited;

use std::backtrace::Backtrace;
use std::io::Write as _;
use std::panic::PanicHookInfo;

use postern_platform::log::{self, Line, Severity};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use self::format::Format;
use self::limited::Limited;
use crate::plain::{self, Log};
use crate::supervise;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be parsed.
    #[error("the log filter {filter:?} is not valid; write for example info or postern_agent=debug,info")]
    Filter {
        /// The filter as given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else logs already.
    #[error("the log is already set up")]
    AlreadyInitialized(#[source] TryInitError),
}

/// Starts logging. `RUST_LOG` takes precedence over `default_filter`. Panics that nobody contains
/// are logged too.
pub fn init(format: Format, default_filter: &str) -> Result<(), Error> {
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|source| Error::Filter { filter, source })?;
    let registry = tracing_subscriber::registry().with(filter);
    let json = format == Format::Json;
    let lines = tracing_subscriber::fmt::layer().with_writer(Sink { json });
    match format {
        Format::Text => {
            let lines = lines.with_ansi(false).map_event_format(|inner| Limited::new(inner, format));
            registry.with(lines).try_init()
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).map_event_format(|inner| Limited::new(inner, format));
            registry.with(lines).try_init()
        }
    }
    .map_err(Error::AlreadyInitialized)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Where each line goes.
struct Sink {
    json: bool,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Log<Line>;

    fn make_writer(&'a self) -> Self::Writer {
        Log { out: log::line(Severity::Information), json: self.json }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        let severity = match *metadata.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            _ => Severity::Information,
        };
        Log { out: log::line(severity), json: self.json }
    }
}

/// Writes what ends a program, in the form that the log has, to where the log goes.
pub fn fatal(format: Format, program: &str, text: &str) {
    let line = line(format, program, text) + "\n";
    // Where the log cannot be written, nobody can be told.
    let _ = log::line(Severity::Error).write_all(line.as_bytes());
}

/// One line for what a program says before its log is set up, or where that cannot be: in the form that the log has.
pub fn line(format: Format, program: &str, text: &str) -> String {
    match format {
        Format::Text => format!("{program}: {}", plain::lines(text)),
        Format::Json => {
            let line = serde_json::json!({
                "timestamp": jiff::Timestamp::now().to_string(),
                "level": "ERROR",
                "message": text,
                "target": program,
            });
            plain::json(&line.to_string()).into_owned()
        }
    }
}

/// The form that a variable of the environment asks for, where the configuration cannot be read.
pub fn asked_for(variable: &str) -> Format {
    match std::env::var(variable) {
        Ok(value) if value.eq_ignore_ascii_case("json") => Format::Json,
        _ => Format::Text,
    }
}

/// Logs panics. A contained panic is logged with its task's name where it is contained.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    if supervise::note_contained_panic(&location) {
        return;
    }
    let message = supervise::panic_message(panic.payload());
    // Not `message`: that is the name of the line itself in JSON.
    tracing::error!(location, panic = message, backtrace = %Backtrace::capture(), "process.panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_beside_the_log_has_its_form() {
        let text = "line one\nline \"two\"\u{202e}";
        assert_eq!(line(Format::Text, "postern", text), "postern: line one\nline \"two\"\u{fffd}");
        let json = line(Format::Json, "postern", text);
        assert!(!json.contains('\n') && !json.contains('\u{202e}'), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((read["message"].as_str(), read["level"].as_str()), (Some(text), Some("ERROR")));
    }
}

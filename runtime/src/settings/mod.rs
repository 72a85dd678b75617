//! Settings from a TOML file with overrides from the environment. Whatever is wrong is an error that names the
//! place: file and line, or the environment variable.

mod environment;
mod error;
mod path;
mod place;
mod source;

use std::path::Path;

use config::{Config, File, FileFormat};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

pub use self::error::Error;
use self::path::Step;
pub use self::place::Place;
use self::source::Source;

/// Reads `file` (none: only the environment and the defaults of `T`) and the variables `PREFIX__KEY__SUBKEY` of the
/// process. A number addresses a table of an array (`PREFIX__DIRECTORY__0__BIND_DN`); values that start with `[` or
/// `{` are read as TOML, all others as text that `T` may turn into what it needs.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, env_prefix: &str) -> Result<T, Error> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    load_with(file, env_prefix, variables)
}

/// [`load`] with the given variables instead of the process's own.
pub fn load_with<T: DeserializeOwned>(
    file: Option<&Path>,
    env_prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Error> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?,
        None => String::new(),
    };
    let source = Source { file, text: &text, overrides: environment::overrides(env_prefix, variables)? };
    if let Err(error) = toml::de::DeTable::parse(&text) {
        let place = source.at(error.span());
        return Err(Error::Syntax { place, reason: error.message().to_owned() });
    }
    let settings = build(&source)?;
    serde_path_to_error::deserialize(settings).map_err(|error| match explain(&source, &error) {
        Error::Value { place, key, reason } => {
            let reason = not_among_the_known::<T>(&source).unwrap_or(reason);
            Error::Value { place, key, reason }
        }
        other => other,
    })
}

/// Of a value that is none of those allowed: which are. The crate knows them and does not say; serde's own does.
fn not_among_the_known<T: DeserializeOwned>(source: &Source<'_>) -> Option<String> {
    let values: toml::Value = build(source).ok()?.try_deserialize().ok()?;
    let error = T::deserialize(values).err()?;
    let mut quoted = error.message().strip_prefix("unknown variant ")?.split('`').skip(1).step_by(2);
    let written = quoted.next()?;
    let known: Vec<String> = quoted.map(|value| format!("\"{value}\"")).collect();
    Some(format!("\"{written}\" is not one of {}", known.join(", ")))
}

fn build(source: &Source<'_>) -> Result<Config, Error> {
    let mut builder = Config::builder().add_source(File::from_str(source.text, FileFormat::Toml));
    for variable in &source.overrides {
        let refused =
            |error: config::ConfigError| Error::Variable { variable: variable.name.clone(), reason: error.to_string() };
        builder = builder.set_override(variable.expression(), variable.value()?).map_err(refused)?;
    }
    let place = || source.whole();
    builder.build().map_err(|error| Error::Syntax { place: place(), reason: error.to_string() })
}

/// Turns serde's message into one that says where, and what was probably meant.
fn explain(source: &Source<'_>, error: &serde_path_to_error::Error<config::ConfigError>) -> Error {
    let mut path: Vec<Step> = error.path().iter().filter_map(step).collect();
    if let Some(field) = missing_field(error.inner()) {
        path.push(Step::Key(field.to_owned()));
        return Error::Missing { place: source.locate(&path), key: path::expression(&path) };
    }
    let reason = innermost(error.inner());
    if let Some((key, known)) = unknown_field(&reason) {
        if !matches!(path.last(), Some(Step::Key(last)) if last == key) {
            path.push(Step::Key(key.to_owned()));
        }
        return Error::UnknownKey {
            place: source.locate(&path),
            key: key.to_owned(),
            suggestion: suggest(key, &known),
        };
    }
    let key = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(format!("{key}: ")),
        Step::Index(_) => None,
    });
    Error::Value { place: source.locate(&path), key: key.unwrap_or_default(), reason }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// The message without the crate's own account of the place.
fn innermost(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::At { error, .. } => innermost(error),
        config::ConfigError::Type { unexpected, expected, .. } => format!("{unexpected} where {expected} belongs"),
        other => other.to_string(),
    }
}

/// The key that is not there. The crate has its own idea of the way to it, as in `directory[0]name`.
fn missing_field(error: &config::ConfigError) -> Option<&str> {
    match error {
        config::ConfigError::At { error, .. } => missing_field(error),
        config::ConfigError::NotFound(way) => way.rsplit(['.', ']']).next(),
        _ => None,
    }
}

/// Reads serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    Some((key, quoted.collect()))
}

fn suggest(key: &str, known: &[&str]) -> String {
    match crate::nearest::one(key, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "no key is allowed here".to_owned(),
        None => format!("the keys here are `{}`", known.join("`, `")),
    }
}

#[cfg(test)]
mod tests;

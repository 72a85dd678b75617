//! A server with the usual overlays, and what tests ask of a directory that writes to it.

use anyhow::{Context as _, Result};
use postern_directory::write::{Change, Done, Failure, Operation, Subject};
use postern_directory::{Directory, Entry, Error};
use postern_tests::Stage;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{Site, create, openldap, user};

pub(crate) const PLACEHOLDER: &str = "placeholder_member = 'cn=nobody,dc=corp,dc=example'";

/// Memberof, refint and the password policy, five people, and a log of every request.
pub(crate) async fn start(stage: &Stage, lines: &str) -> Result<(Slapd, Directory)> {
    let options =
        slapd::Options { overlays: true, statements: true, password_policy: true, ..slapd::Options::people(5) };
    let slapd = Slapd::start(stage, options).await?;
    let directory = openldap(stage, &slapd, lines).await?;
    Ok((slapd, directory))
}

/// What an operation does on a site that allows everything.
pub(crate) async fn operate(directory: &Directory, operation: Operation) -> Result<Done, Error> {
    directory.operate(&operation, &Site::default()).await
}

/// Why an operation did not reach its end.
pub(crate) async fn fails(directory: &Directory, operation: Operation) -> Result<Failure> {
    match operate(directory, operation).await {
        Ok(done) => anyhow::bail!("it reached its end: {done:?}"),
        Err(Error::Write(failure)) => Ok(failure),
        Err(other) => Err(other).context("not an answer to the operation"),
    }
}

pub(crate) fn person(uid: &str) -> Change {
    Change::Create(create(&[("uid", &[uid]), ("cn", &["Anna Bell"]), ("sn", &["Bell"])]))
}

/// A user who was just created.
pub(crate) async fn created(directory: &Directory, uid: &str) -> Result<Entry> {
    operate(directory, user(Subject::default(), person(uid))).await?.entry.context("no entry")
}

pub(crate) fn dn(uid: &str) -> String {
    format!("uid={uid},ou=people,{SUFFIX}")
}

pub(crate) fn id(entry: &Entry) -> Subject {
    Subject::id(&entry.external_id)
}

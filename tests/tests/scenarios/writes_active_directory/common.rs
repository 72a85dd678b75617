//! A domain, and what tests ask of a directory that writes to it.

use anyhow::{Context as _, Result};
use postern_directory::write::{Change, Create, Done, Failure, NewPassword, Operation, Subject};
use postern_directory::{Directory, Entry, Error};
use postern_tests::Stage;
use postern_tests::samba::{self, Samba};
use postern_tests::writing::{Site, configured, create, user};

pub(crate) const PASSWORD: &str = "Corr3ct!horse";

/// A domain that the administrator writes to.
pub(crate) async fn start(stage: &Stage) -> Result<(Samba, Directory)> {
    let samba = Samba::start(stage).await?;
    let directory = directory(&samba, samba::ADMIN, samba::ADMIN_PASSWORD)?;
    Ok((samba, directory))
}

pub(crate) fn directory(samba: &Samba, name: &str, password: &str) -> Result<Directory> {
    let (staff, suffix) = (Samba::staff_dn(), samba::SUFFIX);
    configured(&format!(
        "name = 'corp'\nurls = ['{}']\nca_file = '{}'\nbind_dn = '{name}'\nbind_password = '{password}'\n\
         [users]\nbase_dns = ['{suffix}']\nunique_attribute = 'sAMAccountName'\n\
         attributes = ['sAMAccountName', 'userPrincipalName', 'displayName', 'title', 'description', 'accountExpires']\n\
         [groups]\nbase_dns = ['{suffix}']\nattributes = ['cn', 'description']\n\
         [policy]\nread_only = false\n[write]\nuser_container = '{staff}'\ngroup_container = '{staff}'\n",
        samba.ldaps_url(),
        samba.ca_file().display(),
    ))
}

pub(crate) async fn operate(directory: &Directory, operation: Operation) -> Result<Done, Error> {
    directory.operate(&operation, &Site::default()).await
}

pub(crate) async fn fails(directory: &Directory, operation: Operation) -> Result<Failure> {
    match operate(directory, operation).await {
        Ok(done) => anyhow::bail!("it reached its end: {done:?}"),
        Err(Error::Write(failure)) => Ok(failure),
        Err(other) => Err(other).context("not an answer to the operation"),
    }
}

pub(crate) fn password(text: &str) -> NewPassword {
    NewPassword { password: text.to_owned().into(), must_change: false }
}

/// An enabled user with the usual password.
pub(crate) fn person(login: &str) -> Create {
    Create {
        password: Some(password(PASSWORD)),
        ..create(&[("sAMAccountName", &[login]), ("cn", &[login]), ("displayName", &["Anna Bell"])])
    }
}

pub(crate) async fn created(directory: &Directory, login: &str) -> Result<Entry> {
    operate(directory, user(Subject::default(), Change::Create(person(login)))).await?.entry.context("no entry")
}

pub(crate) fn id(entry: &Entry) -> Subject {
    Subject::id(&entry.external_id)
}

/// One attribute of the entry with a login, as the administrator reads it.
pub(crate) async fn value(samba: &Samba, login: &str, attribute: &str) -> Result<String> {
    let entries = samba.entries(&format!("(sAMAccountName={login})"), &[attribute]).await?;
    Ok(entries.first().context("no such entry")?.text(attribute))
}

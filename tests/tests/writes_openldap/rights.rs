//! What the diagnosis says of the rights to write.

use anyhow::{Context as _, Result, ensure};
use postern_directory::{Check, CheckState, Directory};
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};

use crate::common::start;

async fn writing_step(directory: &Directory) -> Result<Check> {
    directory.check().await.into_iter().find(|check| check.name == "writing").context("no such step")
}

#[test]
fn rights_that_lack_are_named_and_nothing_is_changed_to_find_out() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let before = slapd.entries("(objectClass=*)").await?;
        let all = writing_step(&directory).await?;
        ensure!(all.state == CheckState::Passed && all.detail.contains("create users"), "{all:?}");
        ensure!(all.detail.contains("write pwdAccountLockedTime") && all.detail.contains("rename users"), "{all:?}");

        // Mail only, and nothing else.
        let writer = Slapd::reader_dn();
        let mail = format!("to attrs=mail by dn.exact=\"{writer}\" write by users read");
        slapd
            .set_access(&[&mail, "to attrs=userPassword by anonymous auth by * none", "to * by users read by * none"])
            .await?;
        let some = writing_step(&directory).await?;
        ensure!(some.state == CheckState::Warned, "{some:?}");
        for lacking in ["create users", "rename users", "write title", "write pwdAccountLockedTime", "write groups"] {
            ensure!(some.detail.contains(lacking), "{lacking}: {some:?}");
        }
        ensure!(!some.detail.contains("write mail"), "{some:?}");
        let cure = some.cure.context("no cure")?;
        ensure!(cure.contains("access to") && !cure.contains(SUFFIX), "{cure}");
        ensure!(slapd.entries("(objectClass=*)").await? == before, "the diagnosis has changed something");
        Ok(())
    })
}

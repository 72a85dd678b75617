//! What is never written, whatever the site's policy says.

use anyhow::{Context as _, Result, ensure};
use postern_directory::CheckState;
use postern_directory::write::{Change, Failure, MemberChange, Move, Subject};
use postern_tests::samba::{self, SUFFIX};
use postern_tests::scenario;
use postern_tests::writing::{group, set, user};

use crate::writes_active_directory::common::{created, directory, fails, id, password, start};

#[test]
fn accounts_and_groups_of_the_system_are_left_alone() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let away = || Change::Move(Move { container: None, name: Some("elsewhere".to_owned()) });
        for name in ["Administrator", "krbtgt", "Guest"] {
            let entry = || Subject::dn(format!("CN={name},CN=Users,{SUFFIX}"));
            let password = Change::SetPassword(password("N3w!password"));
            for change in
                [away(), Change::Delete, Change::Disable, password, Change::Update(vec![set("title", &["x"])])]
            {
                let refused = fails(&directory, user(entry(), change)).await?;
                ensure!(matches!(refused, Failure::Protected { .. }), "{name}: {refused:?}");
            }
        }
        for name in ["CN=Domain Admins,CN=Users", "CN=Administrators,CN=Builtin", "CN=Domain Users,CN=Users"] {
            let entry = || Subject::dn(format!("{name},{SUFFIX}"));
            let add = Change::Members(MemberChange { add: vec![id(&anna)], remove: Vec::new() });
            for change in [away(), Change::Delete, add] {
                let refused = fails(&directory, group(entry(), change)).await?;
                ensure!(matches!(refused, Failure::Protected { .. }), "{name}: {refused:?}");
            }
        }
        samba.apply(format!("dn: {}\nchangetype: modify\nreplace: adminCount\nadminCount: 1\n", anna.dn)).await?;
        let refused = fails(&directory, user(id(&anna), Change::Delete)).await?;
        ensure!(matches!(refused, Failure::Protected { .. }), "{refused:?}");
        Ok(())
    })
}

#[test]
fn the_account_by_which_we_bind_is_left_alone_and_lacking_rights_are_said_so() -> Result<()> {
    scenario(async |stage| {
        let (samba, administrator) = start(stage).await?;
        let dn = samba.add_reader().await?;
        for name in [samba::READER.to_owned(), "CORP\\svc-reader".to_owned(), dn.clone()] {
            let reader = directory(&samba, &name, samba::READER_PASSWORD)?;
            let refused = fails(&reader, user(Subject::dn(&dn), Change::Update(vec![set("title", &["x"])]))).await?;
            ensure!(matches!(refused, Failure::Protected { .. }), "{name}: {refused:?}");
        }
        let anna = created(&administrator, "anna").await?;
        let reader = directory(&samba, samba::READER, samba::READER_PASSWORD)?;
        let refused = fails(&reader, user(id(&anna), Change::Update(vec![set("title", &["x"])]))).await?;
        ensure!(refused.ldap_result_code() == Some(50) && refused.public_message().contains("right"), "{refused:?}");
        ensure!(refused.cure().is_some_and(|cure| cure.contains("postern-agent check")));
        Ok(())
    })
}

#[test]
fn attributes_that_give_rights_or_have_an_operation_of_their_own_are_not_written() -> Result<()> {
    scenario(async |stage| {
        let (_samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        for name in [
            "userAccountControl",
            "1.2.840.113556.1.4.8",
            "unicodePwd",
            "UNICODEPWD",
            "dBCSPwd",
            "pwdLastSet",
            "lockoutTime",
            "memberOf",
            "primaryGroupID",
            "sIDHistory",
            "nTSecurityDescriptor",
            "servicePrincipalName",
            "adminCount",
        ] {
            let refused = fails(&directory, user(id(&anna), Change::Update(vec![set(name, &["1"])]))).await?;
            ensure!(matches!(refused, Failure::Invalid { .. }), "{name}: {refused:?}");
        }
        Ok(())
    })
}

#[test]
fn rights_that_lack_are_named_with_the_least_grant() -> Result<()> {
    scenario(async |stage| {
        let (samba, administrator) = start(stage).await?;
        samba.add_reader().await?;
        let reader = directory(&samba, samba::READER, samba::READER_PASSWORD)?;
        for (directory, may) in [(administrator, true), (reader, false)] {
            let checks = directory.check().await;
            let found = checks.iter().find(|check| check.name == "writing").context("no such step")?;
            let expected = if may { CheckState::Passed } else { CheckState::Warned };
            ensure!(found.state == expected, "{found:?}");
            for right in ["create users", "create groups", "write userAccountControl", "write title", "write members"] {
                ensure!(found.detail.contains(right), "{right}: {found:?}");
            }
            ensure!(may || found.cure.as_ref().is_some_and(|cure| cure.contains("Reset Password")), "{found:?}");
        }
        Ok(())
    })
}

#[test]
fn an_operation_on_a_user_touches_no_computer_and_no_group() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let staff = postern_tests::samba::Samba::staff_dn();
        samba.apply(format!("dn: CN=PC7,{staff}\nobjectClass: computer\nsAMAccountName: PC7$\n")).await?;
        for name in [format!("CN=PC7,{staff}"), format!("CN=nested,{staff}"), staff.clone()] {
            for change in [Change::Delete, Change::Disable, Change::SetPassword(password("N3w!password"))] {
                let refused = fails(&directory, user(Subject::dn(&name), change)).await?;
                ensure!(
                    matches!(&refused, Failure::Invalid { what, .. } if what == "objectClass"),
                    "{name}: {refused:?}"
                );
            }
        }
        let refused = fails(&directory, group(Subject::dn(format!("CN=Person 7,{staff}")), Change::Delete)).await?;
        ensure!(matches!(&refused, Failure::Invalid { what, .. } if what == "objectClass"), "{refused:?}");
        Ok(())
    })
}

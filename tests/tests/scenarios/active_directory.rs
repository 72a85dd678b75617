//! The same import against a real Active Directory domain (Samba).

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, DirectorySettings, Settings};
use postern_tests::compare;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::samba::{self, LARGE_GROUP, Samba};
use postern_tests::scenario;

#[test]
fn a_samba_domain_is_imported_with_its_large_group() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let options = Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let directories = vec![DirectorySettings::samba("ad", &samba, stage.path())?];
        let mut settings = Settings { directories, ..Settings::default() };
        let mut agent = Agent::configured(stage, &binaries, &settings)?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        let directory = api.directory("ad").await?;
        let job = api.import("ad").await?;
        ensure!(job.count("users") == u64::from(LARGE_GROUP) && job.count("groups") == 2, "{job:?}");
        ensure!(directory["name"] == "ad");

        let mut entries = samba.entries("(objectClass=user)", &["*", "objectGUID"]).await?;
        for entry in &mut entries {
            let guid = microsoft_text(entry.values("objectGUID").first().context("no objectGUID")?)?;
            entry.attributes.insert("external".to_owned(), vec![guid.into_bytes()]);
        }
        let accounts = api.accounts("ad", "user").await?;
        compare::same_accounts(&entries, &accounts, "external", &samba::USER_ATTRIBUTES)?;

        let users = api.users().await?;
        let disabled: BTreeSet<_> = users.iter().filter(|user| !user.active).map(|user| &user.user_name).collect();
        ensure!(disabled.len() == LARGE_GROUP as usize / 10, "{} disabled", disabled.len());
        let members = api.members(&api.group("everyone").await?).await?;
        ensure!(members.len() == LARGE_GROUP as usize, "{} members", members.len());
        ensure!(members.iter().all(|member| member.kind == "user"), "an unresolved member");
        let nested = api.members(&api.group("nested").await?).await?;
        ensure!(nested.len() == 1 && nested[0].kind == "group", "{nested:?}");

        // The switch is read whether it is listed or not; only then does it leave the site.
        settings.directories[0].users.attributes.retain(|name| name != "userAccountControl");
        agent.configure(&settings)?;
        agent.reloaded().await?;
        let unlisted = api.import("ad").await?;
        ensure!(unlisted.count("unknown_switches") == 0, "{unlisted:?}");
        let inactive = api.inactive().await?;
        ensure!(inactive.len() == LARGE_GROUP as usize / 10, "{} inactive", inactive.len());
        let accounts = api.accounts("ad", "user").await?;
        ensure!(accounts.iter().all(|account| !account.attributes.contains_key("userAccountControl")));

        let again = api.import("ad").await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        Ok(())
    })
}

#[test]
fn a_whole_domain_brings_its_people_and_their_primary_group_and_nothing_of_the_system() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let options = Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let mut ad = DirectorySettings::samba("ad", &samba, stage.path())?;
        ad.users.base_dns = vec![samba::SUFFIX.to_owned()];
        ad.groups.base_dns = vec![samba::SUFFIX.to_owned()];
        ad.groups.member_attribute = String::new();
        let directories = vec![ad];
        let mut agent = Agent::configured(stage, &binaries, &Settings { directories, ..Settings::default() })?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        api.directory("ad").await?;
        let job = api.import("ad").await?;
        ensure!(job.count("users") == u64::from(LARGE_GROUP), "{job:?}");
        let names: BTreeSet<String> = api.users().await?.into_iter().map(|user| user.user_name).collect();
        ensure!(!names.iter().any(|name| ["krbtgt", "Guest", "Administrator"].contains(&name.as_str())), "{names:?}");
        ensure!(
            api.groups().await?.iter().all(|group| group.display_name != "Account Operators"),
            "a group of the server"
        );
        // Nobody lists these members: each person names the group.
        let members = api.members(&api.group("Domain Users").await?).await?;
        let people = members.iter().filter(|member| member.kind == "user").count();
        ensure!(people == LARGE_GROUP as usize, "{people} of {}", members.len());
        ensure!(job.count("remarks") > 20, "{job:?}");
        let samples = job.result["remark_samples"].to_string();
        ensure!(samples.contains("a built-in object") && samples.contains("include_builtin"), "{samples}");
        let again = api.import("ad").await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        Ok(())
    })
}

/// `schemaIDGUID` of `userAccountControl` ([MS-ADA3]).
const USER_ACCOUNT_CONTROL: &str = "bf967a68-0de6-11d0-a285-00aa003049e2";

#[test]
fn a_user_account_control_that_is_hidden_later_makes_nobody_active() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        samba.add_reader().await?;
        let options = Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let mut ad = DirectorySettings::samba("ad", &samba, stage.path())?;
        ad.bind_dn = Some(samba::READER.to_owned());
        ad.set_password(samba::READER_PASSWORD)?;
        let directories = vec![ad];
        let mut settings = Settings { directories, ..Settings::default() };
        let mut agent = Agent::configured(stage, &binaries, &settings)?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        api.directory("ad").await?;
        let job = api.import("ad").await?;
        ensure!(job.count("users") == u64::from(LARGE_GROUP) && job.count("unknown_switches") == 0, "{job:?}");
        let disabled = api.inactive().await?;
        ensure!(disabled.len() == LARGE_GROUP as usize / 10, "{} inactive", disabled.len());

        samba.hide_from_reader(USER_ACCOUNT_CONTROL).await?;
        let newcomer = format!("CN=New,{}", Samba::staff_dn());
        let person = format!("dn: {newcomer}\nobjectClass: user\nsAMAccountName: new\nuserAccountControl: 544\n");
        samba.apply(person).await?;
        // Where it is listed, it is held as an attribute that is gone from everybody.
        let held = api.try_import("ad").await?.expect("held")?;
        ensure!(held.hold["reasons"][0]["attribute"] == "userAccountControl", "{held:?}");
        api.decide(&held.id, "reject").await?;
        settings.directories[0].users.attributes.retain(|name| name != "userAccountControl");
        agent.configure(&settings)?;
        agent.reloaded().await?;
        let job = api.import("ad").await?;
        let users = u64::from(LARGE_GROUP) + 1;
        ensure!(job.count("users") == users && job.count("unknown_switches") == users, "{job:?}");
        ensure!(job.result["unreadable_switch"] == "userAccountControl", "{job:?}");
        let mut expected = disabled;
        expected.insert("new".to_owned());
        let inactive = api.inactive().await?;
        ensure!(inactive == expected, "{} instead of {} inactive", inactive.len(), expected.len());
        Ok(())
    })
}

#[test]
fn who_is_deleted_before_the_container_is_renamed_is_missing() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let staff = Samba::staff_dn();
        let person = |name: &str| {
            let account = format!("objectClass: user\nsAMAccountName: {name}\nuserAccountControl: 544\n");
            format!("dn: CN={name},OU=Berlin,{staff}\n{account}\n")
        };
        let berlin = format!("dn: OU=Berlin,{staff}\nobjectClass: organizationalUnit\n\n");
        let people: String = ["b-anna", "b-bert", "b-cleo"].into_iter().map(person).collect();
        samba.apply(berlin + &people).await?;
        let options = Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let directories = vec![DirectorySettings::samba("ad", &samba, stage.path())?];
        let mut agent = Agent::configured(stage, &binaries, &Settings { directories, ..Settings::default() })?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        api.directory("ad").await?;
        api.import("ad").await?;

        let delete = format!("dn: CN=b-anna,OU=Berlin,{staff}\nchangetype: delete\n\n");
        let rename = "changetype: modrdn\nnewrdn: OU=Berlin-Mitte\ndeleteoldrdn: 1\n";
        samba.apply(format!("{delete}dn: OU=Berlin,{staff}\n{rename}")).await?;
        let job = api.import("ad").await?;
        ensure!(job.count("missing") == 1 && job.count("not_visible") == 0, "{job:?}");
        let users = api.users().await?;
        let active = |name: &str| users.iter().find(|user| user.user_name == name).map(|user| user.active);
        ensure!(["b-anna", "b-bert", "b-cleo"].map(active) == [Some(false), Some(true), Some(true)], "{job:?}");
        Ok(())
    })
}

/// [MS-DTYP] 2.3.4: the first three fields are little-endian, the rest is as it stands.
fn microsoft_text(guid: &[u8]) -> Result<String> {
    let bytes: [u8; 16] = guid.try_into().context("objectGUID is not 16 bytes")?;
    Ok(uuid::Uuid::from_bytes_le(bytes).to_string())
}

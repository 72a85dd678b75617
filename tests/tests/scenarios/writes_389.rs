//! Changes that are written to a real 389 Directory Server.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Create, Effect, MemberChange, Move, NewPassword, Operation, Subject};
use postern_directory::{Directory, Switch};
use postern_tests::agent::DirectorySettings;
use postern_tests::ds389::{self, Ds389, SUFFIX};
use postern_tests::scenario;
use postern_tests::writing::{Site, configured, create, group, set, user};

async fn done(directory: &Directory, operation: Operation) -> Result<postern_directory::write::Done> {
    Ok(directory.operate(&operation, &Site::default()).await?)
}

#[test]
fn the_life_of_a_user_and_a_group() -> Result<()> {
    scenario(async |stage| {
        let all = format!(
            "(targetattr = \"*\")(version 3.0; acl \"writer\"; allow (all) userdn = \"ldap:///{}\";)",
            Ds389::reader_dn()
        );
        let plugins = vec![ds389::Plugin::MemberOf, ds389::Plugin::ReferentialIntegrity];
        let server =
            Ds389::start(stage, ds389::Options { acis: vec![all], plugins, ..ds389::Options::people(5) }).await?;
        let settings = DirectorySettings::ds389("ds", &server, stage.path())?;
        let section = format!(
            "\n[policy]\nread_only = false\n[write]\nuser_container = 'ou=people,{SUFFIX}'\ngroup_container = 'ou=groups,{SUFFIX}'\n"
        );
        let directory = configured(&(toml::to_string(&settings)? + &section))?;

        let password = NewPassword { password: "first Passw0rd!".to_owned().into(), must_change: false };
        let attributes: &[(&str, &[&str])] = &[("uid", &["anna"]), ("cn", &["Anna Bell"]), ("sn", &["Bell"])];
        let new = || Create { enabled: false, password: Some(password.clone()), ..create(attributes) };
        let made = done(&directory, user(Subject::default(), Change::Create(new()))).await?;
        let anna = made.entry.context("no entry")?;
        ensure!(made.effect == Effect::Created && anna.switch == Switch::Off, "{anna:?}");
        let binds = async |password: &str| {
            let dn = format!("uid=anna,ou=people,{SUFFIX}");
            server.admin().bound_as(&dn, password).program("ldapwhoami").success().await.is_ok()
        };
        ensure!(!binds("first Passw0rd!").await, "created disabled");
        let id = || Subject::id(&anna.external_id);
        let on = done(&directory, user(id(), Change::Enable)).await?;
        ensure!(on.effect == Effect::Changed && on.entry.context("no entry")?.switch == Switch::On);
        ensure!(binds("first Passw0rd!").await);
        ensure!(done(&directory, user(id(), Change::Enable)).await?.effect == Effect::AlreadySo);

        let changes = vec![set("title", &["Doctor"]), set("noSuchAttribute", &["x"])];
        let edited = done(&directory, user(id(), Change::Update(changes))).await?;
        ensure!(edited.refused.len() == 1 && edited.effect == Effect::Changed, "{edited:?}");
        let next = NewPassword { password: "second Passw0rd!".to_owned().into(), must_change: false };
        done(&directory, user(id(), Change::SetPassword(next))).await?;
        ensure!(binds("second Passw0rd!").await);

        let team = Create { members: vec![id()], ..create(&[("cn", &["team"])]) };
        let team =
            done(&directory, group(Subject::default(), Change::Create(team))).await?.entry.context("no group")?;
        let rename = Change::Move(Move { container: None, name: Some("anna.bell".to_owned()) });
        done(&directory, user(id(), rename)).await?;
        let leave = Change::Members(MemberChange { add: Vec::new(), remove: vec![id()] });
        let left = done(&directory, group(Subject::id(&team.external_id), leave)).await?;
        ensure!(left.members_removed == 1, "{left:?}");
        ensure!(server.operational(&team.dn).await?.values("member").is_empty(), "here a group may be empty");
        let gone = done(&directory, user(id(), Change::Delete)).await?;
        ensure!(gone.effect == Effect::Deleted && server.entries("(uid=anna.bell)").await?.is_empty());
        Ok(())
    })
}

//! Groups that users name in an attribute, read from real servers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, DirectorySettings, GroupsSettings, Settings};
use postern_tests::api::Api;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::people::Person;
use postern_tests::samba::{LARGE_GROUP, Samba};
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};

/// The groups, each with how many users are members of it.
async fn sizes(api: &Api) -> Result<BTreeMap<String, usize>> {
    let mut sizes = BTreeMap::new();
    for group in api.groups().await? {
        let members = api.members(&group).await?;
        ensure!(members.iter().all(|member| member.kind == "user"), "{members:?}");
        *sizes.entry(group.display_name).or_default() += members.len();
    }
    Ok(sizes)
}

fn wanted(sizes: &[(&str, usize)]) -> BTreeMap<String, usize> {
    sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
}

#[test]
fn openldap_users_name_their_groups_by_text_or_by_dn() -> Result<()> {
    scenario(async |stage| {
        let options = postern_tests::control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(20), options).await?;
        let dn = |index: u32| Person::nth(index).dn(SUFFIX);
        let (sales, other) = (format!("cn=Sales,ou=groups,{SUFFIX}"), format!("cn=Sales,ou=other,{SUFFIX}"));
        for index in 0..4 {
            site.slapd.replace(&dn(index), "businessCategory", &["Staff", "Élan vital"]).await?;
            let named = if index == 0 { vec![sales.as_str(), other.as_str()] } else { vec![sales.as_str()] };
            site.slapd.replace(&dn(index), "seeAlso", &named).await?;
        }
        site.settings.directories[0].groups = GroupsSettings::from_users("businessCategory");
        site.agent.configure(&site.settings)?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(passed, "{report:#}");
        ensure!(
            report.to_string().contains("4 of 20 users name 2 groups in businessCategory, by plain name"),
            "{report:#}"
        );
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        ensure!(sizes(&site.api).await? == wanted(&[("Staff", 4), ("Élan vital", 4)]), "{:?}", sizes(&site.api).await?);
        // One leaves a group, and is renamed.
        site.slapd.replace(&dn(1), "businessCategory", &["staff"]).await?;
        site.slapd.rename(&dn(2), "uid=renamed", None).await?;
        site.api.import(DIRECTORY).await?;
        ensure!(sizes(&site.api).await? == wanted(&[("Staff", 4), ("Élan vital", 3)]), "{:?}", sizes(&site.api).await?);
        // The other attribute: groups that nobody names any more are kept, empty, and the change is held or small.
        site.settings.directories[0].groups = GroupsSettings::from_users("seeAlso");
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        site.api.import(DIRECTORY).await?;
        let found = sizes(&site.api).await?;
        ensure!(found == wanted(&[("Sales", 5), ("Staff", 0), ("Élan vital", 0)]), "{found:?}");
        let twice = site.api.groups().await?.iter().filter(|group| group.display_name == "Sales").count();
        ensure!(twice == 2, "one name in two containers is two groups");
        Ok(())
    })
}

#[test]
fn samba_users_name_their_groups_by_member_of() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let options = Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let by_entries = DirectorySettings::samba("ad", &samba, stage.path())?;
        let by_users = DirectorySettings { groups: GroupsSettings::from_users("memberOf"), ..by_entries.clone() };
        let mut settings = Settings { directories: vec![by_users], ..Settings::default() };
        let mut agent = Agent::configured(stage, &binaries, &settings)?;
        agent.enroll(&api.enrollment_token().await?).await?;
        let (passed, report) = agent.check().await?;
        ensure!(passed && report.to_string().contains("users name 1 groups in memberOf, by DN"), "{report:#}");
        agent.start(stage)?;
        api.directory("ad").await?;
        api.import("ad").await?;
        let everybody = LARGE_GROUP as usize;
        ensure!(sizes(&api).await? == wanted(&[("everyone", everybody)]), "{:?}", sizes(&api).await?);
        let before = api.group("everyone").await?.id;
        let again = api.import("ad").await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        // Group entries instead: the group of the same name goes on, once an administrator has approved.
        settings.directories = vec![by_entries];
        agent.configure(&settings)?;
        agent.reloaded().await?;
        let job = api.try_import("ad").await?;
        ensure!(job.state == "held", "{job:?}");
        ensure!(
            api.members(&api.groups().await?.into_iter().find(|group| group.id == before).context("gone")?)
                .await?
                .len()
                == everybody
        );
        api.decide(&job.id, "approve").await?;
        api.finished(&job.id, postern_tests::wait::SOON).await?.expect("succeeded")?;
        let group = api.group("everyone").await?;
        ensure!(group.id == before && api.members(&group).await?.len() == everybody, "{group:?}");
        Ok(())
    })
}

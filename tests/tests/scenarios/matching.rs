//! Whose user an entry is, against a real directory: logins that are taken or gone, entries made anew, entries without a
//! login, and two directories that know one person.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::api::User;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{control_plane, scenario};

/// A person below `ou=people`, with further lines.
fn person(uid: &str, further: &str) -> String {
    below("people", uid, further)
}

fn below(unit: &str, uid: &str, further: &str) -> String {
    format!("dn: uid={uid},ou={unit},{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: x\n{further}\n")
}

fn dn(uid: &str) -> String {
    format!("uid={uid},ou=people,{SUFFIX}")
}

fn unit(name: &str, above: &str) -> String {
    format!("dn: ou={name},{above}\nobjectClass: organizationalUnit\nou: {name}\n\n")
}

/// A directory of twenty people and these.
fn with(extra_ldif: String) -> slapd::Options {
    slapd::Options { extra_ldif, ..slapd::Options::people(20) }
}

async fn user(site: &Site, name: &str) -> Result<User> {
    let users = site.api.users().await?;
    users.into_iter().find(|user| user.user_name == name).with_context(|| format!("there is no user {name}"))
}

#[test]
fn only_the_name_waits_and_a_user_who_leaves_gives_it_up() -> Result<()> {
    scenario(async |stage| {
        let extra = [
            unit("x", &format!("ou=people,{SUFFIX}")),
            person("anna", ""),
            person("bert", "title: before\nmail: old@lab.test\n")
                .replace("inetOrgPerson\n", "inetOrgPerson\nobjectClass: shadowAccount\n"),
        ];
        let site = Site::start_with(stage, with(extra.concat()), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        let bert = user(&site, "bert").await?;
        site.slapd.rename(&dn("bert"), "uid=anna", Some(&format!("ou=x,ou=people,{SUFFIX}"))).await?;
        ensure!(site.api.import(DIRECTORY).await?.count("conflicts") == 1);
        let moved = format!("uid=anna,ou=x,ou=people,{SUFFIX}");
        site.slapd.replace(&moved, "mail", &["new@lab.test"]).await?;
        site.slapd.replace(&moved, "shadowExpire", &["1"]).await?;
        ensure!(site.api.import(DIRECTORY).await?.count("conflicts") == 1);
        let changed = user(&site, "bert").await?;
        ensure!(changed.id == bert.id && !changed.active, "{changed:?}");
        ensure!(changed.email.as_deref() == Some("new@lab.test"), "{changed:?}");

        // Anna leaves, and somebody new has Bert's old login: one import settles both.
        site.slapd.delete(&dn("anna")).await?;
        site.slapd.apply(person("bert", "")).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("conflicts") == 0, "{job:?}");
        ensure!(user(&site, "anna").await?.id == bert.id);
        ensure!(user(&site, "bert").await?.id != bert.id);
        Ok(())
    })
}

#[test]
fn entries_loaded_anew_keep_their_users_and_groups() -> Result<()> {
    scenario(async |stage| {
        let group =
            format!("dn: cn=g,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: g\nmember: {}\n\n", dn("anna"));
        let both = [person("anna", ""), group].concat();
        let site = Site::start_with(stage, with(both.clone()), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        let (anna, g) = (user(&site, "anna").await?, site.api.group("g").await?);
        site.slapd.delete(&dn("anna")).await?;
        site.slapd.delete(&format!("cn=g,ou=groups,{SUFFIX}")).await?;
        site.slapd.apply(both).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("taken_over") == 2 && job.count("missing") == 2, "{job:?}");
        ensure!(user(&site, "anna").await?.id == anna.id);
        let groups = site.api.groups().await?;
        ensure!(groups.iter().filter(|group| group.display_name == "g").count() == 1, "{groups:?}");
        let after = site.api.group("g").await?;
        let members = site.api.members(&after).await?;
        ensure!(after.id == g.id && members.len() == 1 && members[0].id == Some(anna.id), "{members:?}");
        Ok(())
    })
}

#[test]
fn a_login_that_is_not_there_is_reported_and_replaced_by_nothing() -> Result<()> {
    scenario(async |stage| {
        let extra = [person("anna", "mail: anna@lab.test\n"), person("bert", "")].concat();
        let by_mail = |corp: &mut DirectorySettings| corp.users.unique_attribute = "mail".to_owned();
        let site = Site::start_configured(stage, with(extra), control_plane::Options::for_tests()?, by_mail).await?;
        let job = site.api.import(DIRECTORY).await?;
        let reported = job.result["without_login_samples"].to_string();
        ensure!(job.count("without_login") == 1 && reported.contains(&dn("bert")), "{job:?}");
        let anna = user(&site, "anna@lab.test").await?;
        site.slapd.replace(&dn("anna"), "mail", &[]).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("without_login") == 2, "{job:?}");
        ensure!(user(&site, "anna@lab.test").await?.id == anna.id, "she keeps her name");
        // The order of several values means nothing.
        site.slapd.replace(&dn("bert"), "mail", &["first@lab.test", "second@lab.test"]).await?;
        site.api.import(DIRECTORY).await?;
        let names = async || -> Result<Vec<String>> {
            let users = site.api.users().await?.into_iter().map(|user| user.user_name);
            Ok(users.filter(|name| name.contains("@lab.test")).collect())
        };
        let before = names().await?;
        site.slapd.replace(&dn("bert"), "mail", &["second@lab.test", "first@lab.test"]).await?;
        site.api.import(DIRECTORY).await?;
        ensure!(names().await? == before, "{before:?}");
        Ok(())
    })
}

#[test]
fn the_first_of_two_directories_has_the_profile() -> Result<()> {
    scenario(async |stage| {
        let extra = [
            person("jo", "givenName: JoA\nmail: jo.a@lab.test\n"),
            unit("b", SUFFIX),
            below("b", "jo", "givenName: JoB\nmail: jo.b@lab.test\ntitle: only in b\n"),
            below("b", "bo", ""),
        ];
        let mut site = Site::start_with(stage, with(extra.concat()), control_plane::Options::for_tests()?).await?;
        let mut second = DirectorySettings::slapd("second", &site.slapd, stage.path())?;
        second.users.base_dns = vec![format!("ou=b,{SUFFIX}")];
        second.groups.filter = "(cn=nobody)".to_owned();
        site.settings.directories.push(second);
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        site.api.directory("second").await?;
        site.api.import(DIRECTORY).await?;
        let jo = user(&site, "jo").await?;
        let job = site.api.import("second").await?;
        ensure!(job.count("joined") == 1 && job.result["joined_samples"][0]["user_name"] == "jo", "{job:?}");
        let of_b = format!("uid=jo,ou=b,{SUFFIX}");
        site.slapd.replace(&dn("jo"), "givenName", &["JoA2"]).await?;
        site.slapd.replace(&of_b, "givenName", &["JoB2"]).await?;
        site.api.import(DIRECTORY).await?;
        site.api.import("second").await?;
        let after = user(&site, "jo").await?;
        ensure!(after.id == jo.id && after.given_name.as_deref() == Some("JoA2"), "{after:?}");
        // The first directory's entry leaves: the profile is the other one's.
        site.slapd.delete(&dn("jo")).await?;
        site.api.import(DIRECTORY).await?;
        let after = user(&site, "jo").await?;
        ensure!(after.id == jo.id && after.given_name.as_deref() == Some("JoB2") && after.active, "{after:?}");
        Ok(())
    })
}

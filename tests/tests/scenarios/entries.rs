//! What an entry may look like, and what becomes of it.

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::User;
use postern_tests::postgres::Postgres;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario, wait};
use serde_json::json;

/// A slapd with the two containers of people and groups and these entries in them.
fn slapd_with(extra_ldif: &str) -> slapd::Options {
    slapd::Options { extra_ldif: extra_ldif.to_owned(), ..slapd::Options::people(3) }
}

/// A person of this uid with these further lines.
fn person(uid: &str, further: &str) -> String {
    format!("dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: x\n{further}\n")
}

/// A group of this class with these further lines.
fn group(name: &str, class: &str, further: &str) -> String {
    format!("dn: cn={name},ou=groups,{SUFFIX}\nobjectClass: {class}\ncn: {name}\n{further}\n")
}

/// The names of a group's members, as far as they are users.
async fn members(site: &Site, name: &str) -> Result<Vec<String>> {
    let members = site.api.members(&site.api.group(name).await?).await?;
    let mut names: Vec<String> = members.into_iter().filter_map(|member| member.user_name).collect();
    names.sort_unstable();
    Ok(names)
}

/// The user of this name.
async fn user(site: &Site, name: &str) -> Result<User> {
    let users = site.api.users().await?;
    users.into_iter().find(|user| user.user_name == name).with_context(|| format!("no user {name}"))
}

/// Text that no database makes shorter.
fn random(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap_or_default())
    };
    (0..bytes).map(letter).collect()
}

async fn one_long_value_stops_nobody(stage: &Stage, options: control_plane::Options) -> Result<()> {
    let site = Site::start_with(stage, slapd_with(&person("anna", "")), options).await?;
    for (number, attribute) in (0..).zip(["displayName", "mail", "uid"]) {
        let dn = format!("cn=long{number},ou=people,{SUFFIX}");
        let entry = format!("dn: {dn}\nobjectClass: inetOrgPerson\nuid: long{number}\ncn: long{number}\nsn: x\n");
        site.slapd.apply(entry).await?;
        site.slapd.replace(&dn, attribute, &[&random(3_000 + number)]).await?;
        let job = site.api.import(DIRECTORY).await.with_context(|| attribute.to_owned())?;
        ensure!(job.count("unusable") == 0, "{job:?}");
        user(&site, "anna").await?;
    }
    let longest = async |value: fn(&User) -> Option<&str>| -> Result<Option<usize>> {
        Ok(site.api.users().await?.iter().filter_map(value).map(str::len).max())
    };
    ensure!(longest(|user| user.display_name.as_deref()).await? == Some(3_000), "the whole name");
    let address = longest(|user| user.email.as_deref()).await?;
    ensure!(address.is_none_or(|bytes| bytes < 100), "letters alone are no e-mail address: {address:?} bytes");
    ensure!(longest(|user| Some(user.user_name.as_str())).await? == Some(3_002), "the user of the long name");
    Ok(())
}

#[test]
fn one_long_value_stops_nobody_on_postgres() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let mut options = control_plane::Options::for_tests()?;
        options.database_url = Some(postgres.fresh_database().await?);
        one_long_value_stops_nobody(stage, options).await
    })
}

#[test]
fn one_long_value_stops_nobody_on_sqlite() -> Result<()> {
    scenario(async |stage| one_long_value_stops_nobody(stage, control_plane::Options::for_tests()?).await)
}

#[test]
fn an_attribute_is_one_by_its_name_its_alias_and_its_oid() -> Result<()> {
    const LISTED: [&str; 4] = ["uid", "rfc822Mailbox", "2.5.4.20", "2.5.4.4"];
    const EXCLUDED: [&str; 3] = ["mail", "telephoneNumber", "sn"];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let further = "givenName: Anna\nfacsimileTelephoneNumber: 1\nmobile: 2\nhomePhone: 3\npager: 4\n\
                   mail: anna@lab.test\ntelephoneNumber: 5\n";
    scenario(async |stage| {
        let directory = slapd_with(&person("anna", further));
        let mut site = Site::start_with(stage, directory, control_plane::Options::for_tests()?).await?;
        let rounds: [(Vec<String>, Vec<String>); 2] = [
            (owned(&LISTED), owned(&EXCLUDED)),
            (owned(&["uid", "mail", "telephoneNumber", "sn"]), owned(&LISTED[1..])),
        ];
        for (listed, excluded) in rounds {
            site.settings.directories[0].users.attributes = listed;
            site.settings.policy.excluded_attributes = excluded;
            site.agent.configure(&site.settings)?;
            site.agent.reloaded().await?;
            site.api.import(DIRECTORY).await?;
            let shown = site.api.list::<serde_json::Value>("/api/v1/accounts?directory=corp&kind=user").await?;
            let found = site.api.start_job("lookup_user", DIRECTORY, json!({ "unique_value": "anna" })).await?;
            let found = site.api.finished(&found.id, wait::SOON).await?.expect("succeeded")?.result;
            for text in [serde_json::to_string(&shown)?, found.to_string()] {
                ensure!(!text.contains("anna@lab.test") && !text.contains("\"5\""), "{text}");
            }
        }
        site.settings.policy.excluded_attributes.clear();
        let aliases = ["fax", "mobileTelephoneNumber", "homeTelephoneNumber", "pagerTelephoneNumber", "gn", "2.5.4.20"];
        site.settings.directories[0].users.attributes = owned(&aliases);
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        // An attribute that the site lists no more is not hidden: its values go without a hold.
        site.api.import(DIRECTORY).await?;
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        let anna = accounts.iter().find(|account| account.dn.starts_with("uid=anna,")).context("no anna")?;
        let names: Vec<&str> = anna.attributes.keys().map(String::as_str).collect();
        let mut wanted = aliases.to_vec();
        wanted.sort_unstable();
        ensure!(names == wanted, "{names:?}");
        Ok(())
    })
}

#[test]
fn an_import_that_brings_no_user_fails_and_so_does_the_check() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::start_configured(stage, slapd_with(""), options, |corp| {
            corp.users.filter = "(objectClass=nsPerson)".to_owned();
        })
        .await?;
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error_code() == "no_users", "{job:?}");
        ensure!(job.error["cure"].as_str().is_some_and(|cure| cure.contains("users.filter")), "{job:?}");
        let (passed, report) = site.agent.check().await?;
        ensure!(!passed && report.to_string().contains("users.filter"), "{report:#}");
        // Entries that cannot be used are no users either.
        site.settings.directories[0].users.filter = "(objectClass=inetOrgPerson)".to_owned();
        site.settings.directories[0].external_id_attribute = Some("carLicense".to_owned());
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error["cure"].as_str().is_some_and(|cure| cure.contains("external_id_attribute")), "{job:?}");
        ensure!(site.api.users().await?.is_empty(), "somebody came all the same");
        Ok(())
    })
}

#[test]
fn two_users_of_one_external_id_fail_the_check() -> Result<()> {
    scenario(async |stage| {
        let twins = person("anna", "employeeNumber: 7\n") + &person("bert", "employeeNumber: 7\n");
        let options = control_plane::Options::for_tests()?;
        let site = Site::start_configured(stage, slapd_with(&twins), options, |corp| {
            corp.users.filter = "(employeeNumber=7)".to_owned();
            corp.external_id_attribute = Some("employeeNumber".to_owned());
        })
        .await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(!passed && report.to_string().contains("the same external id"), "{report:#}");
        Ok(())
    })
}

#[test]
fn a_look_up_finds_a_user_by_any_login() -> Result<()> {
    scenario(async |stage| {
        let directory = slapd_with(&person("anna", "mail: anna@lab.test\n"));
        let site = Site::start_with(stage, directory, control_plane::Options::for_tests()?).await?;
        for typed in ["anna", "ANNA@lab.test", &format!("uid=Anna, ou=people,{SUFFIX}")] {
            let job = site.api.start_job("lookup_user", DIRECTORY, json!({ "unique_value": typed })).await?;
            let job =
                site.api.finished(&job.id, wait::SOON).await?.expect("succeeded").with_context(|| typed.to_owned())?;
            ensure!(job.result.to_string().contains("anna@lab.test"), "{typed}: {job:?}");
        }
        Ok(())
    })
}

#[test]
fn member_uid_means_uid_whatever_the_login_is() -> Result<()> {
    scenario(async |stage| {
        let entries = person("anna", "mail: anna@lab.test\n")
            + &person("bert", "mail: bert@lab.test\n").replace("uid: bert\n", "uid: bert\nuid: alias\n")
            + &group("staff", "posixGroup", "gidNumber: 1\nmemberUid: anna\nmemberUid: alias\nmemberUid: gone\n");
        let options = control_plane::Options::for_tests()?;
        let site = Site::start_configured(stage, slapd_with(&entries), options, |corp| {
            corp.users.unique_attribute = "mail".to_owned();
            corp.groups.filter = "(objectClass=posixGroup)".to_owned();
            corp.groups.member_attribute = "memberUid".to_owned();
        })
        .await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(members(&site, "staff").await? == ["anna@lab.test", "bert@lab.test"], "{job:?}");
        ensure!(job.count("members_unresolved") == 1, "{job:?}");
        let job = site.api.start_job("lookup_user", DIRECTORY, json!({ "unique_value": "anna@lab.test" })).await?;
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
        ensure!(job.result.to_string().contains("cn=staff"), "{job:?}");
        Ok(())
    })
}

#[test]
fn of_several_uids_the_one_in_the_name_is_the_login() -> Result<()> {
    scenario(async |stage| {
        let entries = "dn: uid=main,ou=people,dc=corp,dc=example\nobjectClass: inetOrgPerson\nuid: alias\nuid: main\n\
                       cn: m\nsn: m\n\n"
            .to_owned()
            + &group("pg", "posixGroup", "gidNumber: 1\nmemberUid: main\n");
        let options = control_plane::Options::for_tests()?;
        let site = Site::start_configured(stage, slapd_with(&entries), options, |corp| {
            corp.groups.filter = "(objectClass=posixGroup)".to_owned();
            corp.groups.member_attribute = "memberUid".to_owned();
        })
        .await?;
        for order in [["alias", "main"], ["main", "alias"]] {
            site.slapd.replace(&format!("uid=main,ou=people,{SUFFIX}"), "uid", &order).await?;
            site.api.import(DIRECTORY).await?;
            ensure!(members(&site, "pg").await? == ["main"], "{order:?}");
        }
        Ok(())
    })
}

#[test]
fn each_class_of_groups_brings_its_members_and_none_is_silently_empty() -> Result<()> {
    scenario(async |stage| {
        let member = |name: &str| format!("uid={name},ou=people,{SUFFIX}");
        let entries = person("anna", "")
            + &person("bert", "")
            + &group("names", "groupOfNames", &format!("member: {}\n", member("anna")))
            + &group("unique", "groupOfUniqueNames", &format!("uniqueMember: {}\n", member("bert")))
            + &group("posix", "posixGroup", "gidNumber: 1\nmemberUid: anna\nmemberUid: bert\n");
        let options = control_plane::Options::for_tests()?;
        let classes = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))";
        let mut site = Site::start_configured(stage, slapd_with(&entries), options, |corp| {
            corp.groups.filter = classes.to_owned();
            corp.groups.member_attribute = String::new();
        })
        .await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(members(&site, "names").await? == ["anna"], "{job:?}");
        ensure!(members(&site, "unique").await? == ["bert"], "{job:?}");
        ensure!(members(&site, "posix").await? == ["anna", "bert"], "{job:?}");
        ensure!(job.count("remarks") == 0, "{job:?}");
        // What is configured is what is read; what is there beside it is said.
        site.settings.directories[0].groups.member_attribute = "member".to_owned();
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        let job = site.api.try_import(DIRECTORY).await?;
        let said = if job.state == "held" { job.hold.to_string() } else { job.result["remark_samples"].to_string() };
        ensure!(job.state == "held" || said.contains("uniqueMember") && said.contains("memberUid"), "{job:?}");
        Ok(())
    })
}

#[test]
fn groups_without_the_configured_id_have_the_servers_own() -> Result<()> {
    scenario(async |stage| {
        let entries = person("anna", "employeeNumber: 0\n")
            + &person("bert", "employeeNumber: 1\n")
            + &group("g", "groupOfNames", &format!("member: uid=anna,ou=people,{SUFFIX}\n"));
        let options = control_plane::Options::for_tests()?;
        let site = Site::start_configured(stage, slapd_with(&entries), options, |corp| {
            corp.users.filter = "(employeeNumber=*)".to_owned();
            corp.groups.filter = "(cn=g)".to_owned();
            corp.external_id_attribute = Some("employeeNumber".to_owned());
        })
        .await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!((job.count("users"), job.count("groups"), job.count("unusable")) == (5, 1, 0), "{job:?}");
        ensure!(members(&site, "g").await? == ["anna"], "{job:?}");
        let again = site.api.import(DIRECTORY).await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        Ok(())
    })
}

#[test]
fn a_member_is_the_entry_whose_dn_it_writes_where_two_compare_as_equal() -> Result<()> {
    scenario(async |stage| {
        let entry = |cn: &str, further: &str| {
            format!("dn: cn={cn},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\ncn: {cn}\nsn: x\n{further}\n")
        };
        let member = |cn: &str| format!("member: CN={cn}, OU=people,{SUFFIX}\n");
        // The second of each pair has no login, or is in no search of the agent.
        let entries = entry("Weiß Karl", "uid: karl\n")
            + &entry("Weiss Karl", "")
            + &entry("Groß Eva", "uid: eva\n")
            + &group("weiss", "groupOfNames", &member("Weiss Karl"))
            + &group("weiß", "groupOfNames", &member("WEIß KARL"))
            + &group("gross", "groupOfNames", &member("Gross Eva"))
            + &group("groß", "groupOfNames", &member("groß eva"));
        let site = Site::start_with(stage, slapd_with(&entries), control_plane::Options::for_tests()?).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(members(&site, "weiß").await? == ["karl"] && members(&site, "groß").await? == ["eva"], "{job:?}");
        ensure!(members(&site, "weiss").await?.is_empty() && members(&site, "gross").await?.is_empty(), "{job:?}");
        let counts = ["members_unresolved", "members_ambiguous", "members_without_user"].map(|key| job.count(key));
        ensure!(counts == [1, 0, 1], "{job:?}");
        Ok(())
    })
}

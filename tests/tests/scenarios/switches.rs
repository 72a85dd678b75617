//! Who is active: every way in which a directory turns somebody off, and switches that cannot be read.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::api::{Api, Job};
use postern_tests::ds389::{self, Ds389, Plugin};
use postern_tests::line::Line;
use postern_tests::people::Person;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, scenario};

/// The user names of these people.
fn names(people: &[u32]) -> BTreeSet<String> {
    people.iter().map(|number| Person::nth(*number).uid).collect()
}

async fn off(api: &Api, wanted: &BTreeSet<String>) -> Result<()> {
    let inactive = api.inactive().await?;
    ensure!(inactive == *wanted, "inactive: {inactive:?} instead of {wanted:?}");
    Ok(())
}

/// The row of `postern-agent check` that is about switches.
async fn check(line: &Line) -> Result<serde_json::Value> {
    let (_, report) = line.agent.check().await?;
    let mut found = Vec::new();
    rows(&report, &mut found);
    found.into_iter().find(|row| row["name"] == "switches").ok_or_else(|| anyhow::anyhow!("no row: {report:#}"))
}

fn rows(report: &serde_json::Value, found: &mut Vec<serde_json::Value>) {
    match report {
        serde_json::Value::Array(items) => items.iter().for_each(|item| rows(item, found)),
        serde_json::Value::Object(fields) => {
            if fields.contains_key("name") && fields.contains_key("state") {
                found.push(report.clone());
            }
            fields.values().for_each(|field| rows(field, found));
        }
        _ => {}
    }
}

fn unknown(job: &Job, users: u64, attribute: &str) -> Result<()> {
    ensure!(job.count("unknown_switches") == users && job.result["unreadable_switch"] == attribute, "{job:#?}");
    Ok(())
}

/// Everybody below `ou=locked` is locked by a class of service.
fn locked_unit() -> String {
    let suffix = ds389::SUFFIX;
    let person = Person::nth(900);
    format!(
        "dn: ou=locked,ou=people,{suffix}\nobjectClass: organizationalUnit\nou: locked\n\n\
         dn: cn=template,ou=locked,ou=people,{suffix}\nobjectClass: cosTemplate\nobjectClass: extensibleObject\n\
         cn: template\nnsAccountLock: true\n\n\
         dn: cn=lock,ou=locked,ou=people,{suffix}\nobjectClass: ldapSubEntry\nobjectClass: cosSuperDefinition\n\
         objectClass: cosPointerDefinition\ncn: lock\ncosTemplateDn: cn=template,ou=locked,ou=people,{suffix}\n\
         cosAttribute: nsAccountLock operational\n\n\
         dn: uid={uid},ou=locked,ou=people,{suffix}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: x\nsn: x\n\n",
        uid = person.uid
    )
}

async fn ds389(stage: &Stage, users: u32) -> Result<(Ds389, Line)> {
    let options = ds389::Options { plugins: vec![Plugin::AccountPolicy], ..ds389::Options::people(users) };
    let server = Ds389::start(stage, options).await?;
    let line = Line::start(stage, vec![DirectorySettings::ds389("ds", &server, stage.path())?]).await?;
    Ok((server, line))
}

fn dn(number: u32) -> String {
    Person::nth(number).dn(ds389::SUFFIX)
}

#[test]
fn a_389_user_is_off_by_every_switch_that_the_server_has() -> Result<()> {
    scenario(async |stage| {
        let (server, line) = ds389(stage, 30).await?;
        server.apply(locked_unit()).await?;
        server.replace(&dn(1), "nsAccountLock", &["TRUE"]).await?;
        server.replace(&dn(2), "nsAccountLock", &["yes"]).await?;
        server.replace(&dn(3), "accountUnlockTime", &["19700101000000Z"]).await?;
        server.replace(&dn(3), "passwordRetryCount", &["3"]).await?;
        server.replace(&dn(4), "accountUnlockTime", &["19700101000000Z"]).await?;
        server.replace(&dn(4), "passwordRetryCount", &["0"]).await?;
        let policy = format!("cn=policy,{}", ds389::SUFFIX);
        let entry = format!(
            "dn: {policy}\nobjectClass: ldapSubEntry\nobjectClass: accountPolicy\nobjectClass: extensibleObject\n\
             cn: policy\naccountInactivityLimit: 86400\n"
        );
        server.apply(entry).await?;
        for (number, last) in [(5, "20200101000000Z"), (6, "29990101000000Z")] {
            server.replace(&dn(number), "acctPolicySubentry", &[&policy]).await?;
            server.replace(&dn(number), "lastLoginTime", &[last]).await?;
        }
        let job = line.api.import("ds").await?;
        ensure!(job.count("users") == 31 && job.count("unknown_switches") == 0, "{job:?}");
        off(&line.api, &names(&[1, 3, 5, 900])).await?;
        let row = check(&line).await?;
        ensure!(row["state"] == "passed" && row["detail"].to_string().contains("4 disabled"), "{row:#}");

        server.replace(&dn(1), "nsAccountLock", &[]).await?;
        line.api.import("ds").await?;
        off(&line.api, &names(&[3, 5, 900])).await
    })
}

#[test]
fn hidden_switches_of_389_turn_nobody_on_and_make_nobody_new_active() -> Result<()> {
    scenario(async |stage| {
        let (server, line) = ds389(stage, 30).await?;
        server.replace(&dn(1), "nsAccountLock", &["true"]).await?;
        line.api.import("ds").await?;
        off(&line.api, &names(&[1])).await?;
        let everything = Ds389::reading("*", "targetattr != \"userPassword || aci\"");
        server.set_acis(&[everything, Ds389::hiding("locks", "targetattr = \"nsAccountLock\"")]).await?;
        let newcomer = Person::nth(901);
        let entry = format!(
            "dn: {}\nobjectClass: inetOrgPerson\nuid: {}\ncn: x\nsn: x\n",
            newcomer.dn(ds389::SUFFIX),
            newcomer.uid
        );
        server.apply(entry).await?;
        let job = line.api.import("ds").await?;
        unknown(&job, 31, "nsAccountLock")?;
        off(&line.api, &names(&[1, 901])).await?;
        let row = check(&line).await?;
        ensure!(row["state"] == "failed" && row["cure"].to_string().contains("nsAccountLock"), "{row:#}");
        Ok(())
    })
}

#[test]
fn one_directory_that_disables_a_user_outweighs_all_others() -> Result<()> {
    scenario(async |stage| {
        let server = Ds389::start(stage, ds389::Options::people(20)).await?;
        let slapd = Slapd::start(stage, slapd::Options::people(20)).await?;
        let directories = vec![
            DirectorySettings::ds389("ds", &server, stage.path())?,
            DirectorySettings::slapd("open", &slapd, stage.path())?,
        ];
        let line = Line::start(stage, directories).await?;
        server.replace(&dn(1), "nsAccountLock", &["true"]).await?;
        line.api.import("ds").await?;
        line.api.import("open").await?;
        off(&line.api, &names(&[1])).await?;
        let job = line.api.import("ds").await?;
        ensure!(job.count("updated") == 0, "{job:?}");
        off(&line.api, &names(&[1])).await?;
        // What comes last does not matter either way.
        slapd.replace(&Person::nth(2).dn(SUFFIX), "pwdAccountLockedTime", &["000001010000Z"]).await?;
        line.api.import("open").await?;
        line.api.import("ds").await?;
        off(&line.api, &names(&[1, 2])).await?;
        server.replace(&dn(1), "nsAccountLock", &[]).await?;
        line.api.import("ds").await?;
        off(&line.api, &names(&[2])).await
    })
}

const PASSWORDS: &str = "to attrs=userPassword by anonymous auth by * none";
const ALL: &str = "to * by users read by * none";

#[test]
fn openldap_users_without_a_switch_are_active_and_hidden_switches_are_unknown() -> Result<()> {
    scenario(async |stage| {
        let slapd = Slapd::start(stage, slapd::Options::people(30)).await?;
        let line = Line::start(stage, vec![DirectorySettings::slapd("open", &slapd, stage.path())?]).await?;
        slapd.replace(&Person::nth(1).dn(SUFFIX), "pwdAccountLockedTime", &["000001010000Z"]).await?;
        slapd.replace(&Person::nth(2).dn(SUFFIX), "pwdAccountLockedTime", &["20260101120000Z"]).await?;
        for (number, day) in [(3, "0"), (4, "-1"), (5, "99999")] {
            let person = Person::nth(number).dn(SUFFIX);
            let change = format!(
                "dn: {person}\nchangetype: modify\nadd: objectClass\nobjectClass: shadowAccount\n-\n\
                 add: shadowExpire\nshadowExpire: {day}\n"
            );
            slapd.apply(change).await?;
        }
        let job = line.api.import("open").await?;
        ensure!(job.count("unknown_switches") == 0, "{job:?}");
        off(&line.api, &names(&[1, 3])).await?;

        // Nobody without the class can have a shadowExpire: hidden, it is unknown of the others only.
        slapd.set_access(&[PASSWORDS, "to attrs=shadowExpire by * none", ALL]).await?;
        let job = line.api.import("open").await?;
        unknown(&job, 3, "shadowExpire")?;
        off(&line.api, &names(&[1, 3])).await?;

        slapd.set_access(&[PASSWORDS, "to attrs=pwdAccountLockedTime by * none", ALL]).await?;
        let job = line.api.import("open").await?;
        unknown(&job, 29, "pwdAccountLockedTime")?;
        off(&line.api, &names(&[1, 3])).await?;
        let row = check(&line).await?;
        ensure!(row["state"] == "warned" && row["cure"].to_string().contains("pwdAccountLockedTime"), "{row:#}");
        Ok(())
    })
}

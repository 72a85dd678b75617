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
    let whole = (longest(|user| user.display_name.as_deref()).await?, longest(|user| user.email.as_deref()).await?);
    ensure!(whole == (Some(3_000), Some(3_001)), "{whole:?}");
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

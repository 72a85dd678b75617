//! What an entry may look like, and what becomes of it.

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::User;
use postern_tests::postgres::Postgres;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario};

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

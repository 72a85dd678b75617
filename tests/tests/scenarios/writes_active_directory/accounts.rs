//! New accounts, their names and passwords.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Switch;
use postern_directory::write::{Change, Create, Effect, Existing, Failure, NewPassword, Subject};
use postern_tests::scenario;
use postern_tests::writing::{create, set, user};

use crate::writes_active_directory::common::{PASSWORD, created, fails, id, operate, password, person, start, value};

fn make(new: Create) -> postern_directory::write::Operation {
    user(Subject::default(), Change::Create(new))
}

#[test]
fn an_account_is_created_with_its_password_and_can_be_used_at_once() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let made = operate(&directory, make(person("anna"))).await?;
        ensure!(made.effect == Effect::Created && made.entry.as_ref().context("no entry")?.switch == Switch::On);
        ensure!(value(&samba, "anna", "userAccountControl").await? == "512");
        ensure!(samba.can_bind("anna@corp.example", PASSWORD).await?);
        ensure!(operate(&directory, make(person("anna"))).await?.effect == Effect::AlreadySo);
        ensure!(samba.entries("(sAMAccountName=anna)", &["cn"]).await?.len() == 1);
        let anna = made.entry.context("no entry")?;
        let gone = operate(&directory, user(id(&anna), Change::Delete)).await?;
        ensure!(gone.effect == Effect::Deleted && samba.entries("(sAMAccountName=anna)", &["cn"]).await?.is_empty());
        // Its tombstone is not taken for the entry.
        let again = Subject { external_id: Some(anna.external_id.clone()), dn: Some(anna.dn.clone()) };
        let again = operate(&directory, user(again, Change::Delete)).await?;
        ensure!(again.effect == Effect::AlreadySo, "{again:?}");
        Ok(())
    })
}

#[test]
fn no_account_is_ever_enabled_without_a_password() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let without = || Create { password: None, ..person("anna") };
        let refused = fails(&directory, make(without())).await?;
        ensure!(matches!(&refused, Failure::Invalid { what, .. } if what == "password"), "{refused:?}");
        ensure!(samba.entries("(sAMAccountName=anna)", &["cn"]).await?.is_empty());
        let made = operate(&directory, make(Create { enabled: false, ..without() })).await?;
        let anna = made.entry.context("no entry")?;
        ensure!(anna.switch == Switch::Off, "{anna:?}");
        let refused = fails(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(matches!(&refused, Failure::NoPassword), "{refused:?}");
        // A password that must be changed is one, too.
        let first = NewPassword { must_change: true, ..password(PASSWORD) };
        operate(&directory, user(id(&anna), Change::SetPassword(first))).await?;
        ensure!(value(&samba, "anna", "pwdLastSet").await? == "0");
        let enabled = operate(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(enabled.effect == Effect::Changed && enabled.entry.context("no entry")?.switch == Switch::On);
        Ok(())
    })
}

#[test]
fn a_weak_password_makes_no_account_and_is_named_as_the_reason() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let weak = fails(&directory, make(Create { password: Some(password("weak")), ..person("anna") })).await?;
        ensure!(weak.public_message().contains("breaks the directory's rules"), "{}", weak.public_message());
        ensure!(samba.entries("(sAMAccountName=anna)", &["cn"]).await?.is_empty());
        let anna = created(&directory, "anna").await?;
        let weak = fails(&directory, user(id(&anna), Change::SetPassword(password("weak")))).await?;
        ensure!(matches!(&weak, Failure::Refused(refusal) if refusal.is_password_policy()), "{weak:?}");
        let set = |text: &str| user(id(&anna), Change::SetPassword(password(text)));
        operate(&directory, set("An0ther!horse")).await?;
        operate(&directory, set("An0ther!horse")).await?;
        ensure!(samba.can_bind("anna@corp.example", "An0ther!horse").await?);
        Ok(())
    })
}

#[test]
fn of_several_names_the_first_free_one_is_taken_in_the_whole_domain() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let named = |login: &str| -> Vec<(String, Vec<bytes::Bytes>)> {
            let principal = format!("{login}@corp.example");
            [("sAMAccountName", login), ("userPrincipalName", &principal), ("cn", login)]
                .map(|(name, value)| (name.to_owned(), postern_tests::writing::values(&[value])))
                .into()
        };
        let new = || {
            let mut new = Create { enabled: false, ..create(&[("displayName", &["Everyone"])]) };
            new.sent_before = false;
            new.attributes.extend(named("everyone"));
            new.choices = vec![named("everyone2"), named("everyone3"), named("everyone4")];
            new
        };
        // A group has the first name, and somebody's principal name is the second.
        operate(
            &directory,
            make(Create {
                attributes: with(person("ben"), "userPrincipalName", "EVERYONE2@corp.example"),
                ..person("ben")
            }),
        )
        .await?;
        for login in ["everyone3", "everyone4"] {
            let done = operate(&directory, make(new())).await?;
            ensure!(done.effect == Effect::Created, "{done:?}");
            ensure!(value(&samba, login, "userPrincipalName").await? == format!("{login}@corp.example"));
        }
        let taken = fails(&directory, make(new())).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "sAMAccountName"), "{taken:?}");
        Ok(())
    })
}

#[test]
fn names_are_unique_in_the_whole_domain_and_those_that_windows_takes() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = operate(
            &directory,
            make(Create {
                attributes: with(person("anna"), "userPrincipalName", "anna@corp.example"),
                ..person("anna")
            }),
        )
        .await?
        .entry
        .context("no entry")?;
        // Another name of the entry, the same login in other letters.
        let twin = || create(&[("sAMAccountName", &["ANNA"]), ("cn", &["Another"])]);
        let taken = fails(&directory, make(Create { enabled: false, ..twin() })).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "sAMAccountName"), "{taken:?}");
        let adopted = operate(&directory, make(Create { enabled: false, existing: Existing::Adopt, ..twin() })).await?;
        ensure!(
            adopted.effect == Effect::Adopted && adopted.entry.context("no entry")?.external_id == anna.external_id
        );
        // A group's name counts, too, and a group is not adopted as a user.
        let group = Create {
            enabled: false,
            existing: Existing::Adopt,
            ..create(&[("sAMAccountName", &["everyone"]), ("cn", &["x"])])
        };
        let taken = fails(&directory, make(group)).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "sAMAccountName"), "{taken:?}");
        let principal =
            Create { attributes: with(person("ben"), "userPrincipalName", "ANNA@corp.example"), ..person("ben") };
        let taken = fails(&directory, make(principal)).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "userPrincipalName"), "{taken:?}");
        let name = Create { enabled: false, ..create(&[("sAMAccountName", &["ben"]), ("cn", &["anna"])]) };
        let taken = fails(&directory, make(name)).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "name"), "{taken:?}");
        let long = "x".repeat(65);
        for (login, name) in [("a/b", "b"), ("ends.", "b"), ("a-login-of-21-letters", "b"), ("ben", long.as_str())] {
            let new = Create { enabled: false, ..create(&[("sAMAccountName", &[login]), ("cn", &[name])]) };
            let refused = fails(&directory, make(new)).await?;
            ensure!(matches!(refused, Failure::Invalid { .. }), "{login} {name}: {refused:?}");
        }
        ensure!(samba.entries("(&(objectClass=user)(!(sAMAccountName=p*)))", &["cn"]).await?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_login_that_somebody_else_has_stops_no_other_value() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        created(&directory, "ben").await?;
        let anna = created(&directory, "anna").await?;
        let both = Change::Update(vec![set("sAMAccountName", &["BEN"]), set("title", &["Head"])]);
        let done = operate(&directory, user(id(&anna), both)).await?;
        let refused: Vec<&str> = done.refused.iter().map(|refused| refused.name.as_str()).collect();
        ensure!(refused == ["sAMAccountName"] && done.refused[0].code == Some(68), "{done:?}");
        ensure!(value(&samba, "anna", "title").await? == "Head");
        let alone = fails(&directory, user(id(&anna), Change::Update(vec![set("sAMAccountName", &["ben"])]))).await?;
        ensure!(alone.public_message().contains("sAMAccountName"), "{}", alone.public_message());
        Ok(())
    })
}

fn with(new: Create, name: &str, text: &str) -> Vec<(String, Vec<bytes::Bytes>)> {
    let mut attributes = new.attributes;
    attributes.push((name.to_owned(), postern_tests::writing::values(&[text])));
    attributes
}

#[test]
fn values_get_the_form_that_the_schema_asks_for() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let edit = async |name: &str, text: &str| {
            operate(&directory, user(id(&anna), Change::Update(vec![set(name, &[text])]))).await
        };
        edit("accountExpires", "1970-01-01T00:00:01Z").await?;
        ensure!(value(&samba, "anna", "accountExpires").await? == "116444736010000000");
        ensure!(!samba.can_bind("anna@corp.example", PASSWORD).await?, "the account has expired");
        edit("accountExpires", "never").await?;
        ensure!(samba.can_bind("anna@corp.example", PASSWORD).await?);
        ensure!(edit("accountExpires", "0").await?.effect == Effect::AlreadySo, "both mean never");
        ensure!(edit("accountExpires", "").await?.effect == Effect::AlreadySo, "it cannot be removed");
        edit("msDS-cloudExtensionAttribute1", "x").await.ok();
        edit("showInAdvancedViewOnly", "true").await?;
        ensure!(value(&samba, "anna", "showInAdvancedViewOnly").await? == "TRUE");
        ensure!(edit("showInAdvancedViewOnly", "yes").await?.effect == Effect::AlreadySo);
        Ok(())
    })
}

#[test]
fn odd_values_are_written_and_read_back_equal_also_in_names() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let odd =
            ["a\0b", "a\r\nb", " leading", "trailing ", "\u{202e}rtl", "עברית", "😀", "e\u{301}", "a,b+\"c\"\\<d>;#="];
        for (number, text) in odd.iter().enumerate() {
            operate(&directory, user(id(&anna), Change::Update(vec![set("title", &[text])]))).await?;
            ensure!(
                samba.entries("(sAMAccountName=anna)", &["title"]).await?[0].values("title") == [text.as_bytes()],
                "{text:?}"
            );
            let login = format!("odd{number}");
            let new = Create { enabled: false, ..create(&[("sAMAccountName", &[login.as_str()]), ("cn", &[text])]) };
            operate(&directory, make(new.clone())).await.with_context(|| format!("{text:?}"))?;
            ensure!(
                samba.entries(&format!("(sAMAccountName={login})"), &["cn"]).await?[0].values("cn")
                    == [text.as_bytes()],
                "{text:?}"
            );
            ensure!(operate(&directory, make(new)).await?.effect == Effect::AlreadySo, "{text:?}");
        }
        Ok(())
    })
}

//! States of an account, its name and its place.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Switch;
use postern_directory::write::{Change, Effect, Failure, Move, NewPassword};
use postern_tests::samba::Samba;
use postern_tests::scenario;
use postern_tests::writing::{set, user};

use crate::writes_active_directory::common::{PASSWORD, created, fails, id, operate, password, start, value};

#[test]
fn one_bit_is_flipped_and_the_others_stay() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let own = format!("dn: CN=anna,{}\nchangetype: modify\n", Samba::staff_dn());
        // The password never expires.
        samba.apply(format!("{own}replace: userAccountControl\nuserAccountControl: 66048\n")).await?;
        let off = operate(&directory, user(id(&anna), Change::Disable)).await?;
        ensure!(off.entry.context("no entry")?.switch == Switch::Off);
        ensure!(value(&samba, "anna", "userAccountControl").await? == "66050");
        ensure!(!samba.can_bind("anna@corp.example", PASSWORD).await?);
        ensure!(operate(&directory, user(id(&anna), Change::Disable)).await?.effect == Effect::AlreadySo);
        let on = operate(&directory, user(id(&anna), Change::Enable)).await?;
        ensure!(on.effect == Effect::Changed && value(&samba, "anna", "userAccountControl").await? == "66048");
        ensure!(samba.can_bind("anna@corp.example", PASSWORD).await?);
        // Nobody would be asked to change a password that never expires.
        let must_change = NewPassword { must_change: true, ..password("An0ther!horse") };
        let refused = fails(&directory, user(id(&anna), Change::SetPassword(must_change))).await?;
        ensure!(matches!(&refused, Failure::Invalid { what, .. } if what == "must_change"), "{refused:?}");
        Ok(())
    })
}

#[test]
fn a_locked_account_is_unlocked_and_an_unlocked_one_is_not_written() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        ensure!(operate(&directory, user(id(&anna), Change::Unlock)).await?.effect == Effect::AlreadySo);
        samba
            .apply("dn: DC=corp,DC=example\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n")
            .await?;
        for _ in 0..3 {
            ensure!(!samba.can_bind("anna@corp.example", "Wr0ng!horse").await?);
        }
        ensure!(!samba.can_bind("anna@corp.example", PASSWORD).await?, "not locked");
        ensure!(operate(&directory, user(id(&anna), Change::Unlock)).await?.effect == Effect::Changed);
        ensure!(samba.can_bind("anna@corp.example", PASSWORD).await?);
        Ok(())
    })
}

#[test]
fn an_account_is_renamed_and_moved_and_found_again_by_its_guid() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        samba.apply(format!("dn: OU=left,{}\nobjectClass: organizationalUnit\n", Samba::staff_dn())).await?;
        let to = |container: Option<&str>, name: Option<&str>| {
            Change::Move(Move { container: container.map(str::to_owned), name: name.map(str::to_owned) })
        };
        let moved = operate(&directory, user(id(&anna), to(Some("OU=left"), Some("Bell, Anna")))).await?;
        let entry = moved.entry.context("no entry")?;
        ensure!(entry.dn == format!("CN=Bell\\, Anna,OU=left,{}", Samba::staff_dn()), "{}", entry.dn);
        ensure!(entry.external_id == anna.external_id);
        let again = operate(&directory, user(id(&anna), to(Some("OU=left"), Some("Bell, Anna")))).await?;
        ensure!(again.effect == Effect::AlreadySo);
        let taken =
            fails(&directory, user(id(&created(&directory, "ben").await?), to(Some("OU=left"), Some("bell, anna"))))
                .await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "name"), "{taken:?}");
        let nowhere = fails(&directory, user(id(&anna), to(Some("OU=nowhere"), None))).await?;
        ensure!(nowhere.cure().context("no cure")?.contains("create the container"), "{nowhere:?}");
        let long = fails(&directory, user(id(&anna), to(None, Some(&"x".repeat(65))))).await?;
        ensure!(matches!(long, Failure::Invalid { .. }), "Samba takes it, Windows does not: {long:?}");
        Ok(())
    })
}

#[test]
fn a_refused_attribute_is_named_and_the_others_are_written() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let changes = vec![set("title", &["Doctor"]), set("noSuchAttribute", &["x"]), set("description", &["a", "b"])];
        let edited = operate(&directory, user(id(&anna), Change::Update(changes))).await?;
        let mut refused: Vec<(String, Option<u32>)> =
            edited.refused.iter().map(|refused| (refused.name.clone(), refused.code)).collect();
        refused.sort();
        ensure!(
            refused == [("description".to_owned(), Some(20)), ("noSuchAttribute".to_owned(), Some(16))],
            "{edited:?}"
        );
        ensure!(value(&samba, "anna", "title").await? == "Doctor");
        // One value in the place of another: never a second one beside it.
        for text in ["one", "two"] {
            operate(&directory, user(id(&anna), Change::Update(vec![set("description", &[text])]))).await?;
        }
        ensure!(samba.entries("(sAMAccountName=anna)", &["description"]).await?[0].values("description") == [b"two"]);
        Ok(())
    })
}

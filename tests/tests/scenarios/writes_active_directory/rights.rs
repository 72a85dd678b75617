//! The least that the bind account needs: exactly the rights that docs/operations.md names.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Create, Effect, MemberChange, Move, NewPassword, Subject};
use postern_tests::samba;
use postern_tests::scenario;
use postern_tests::writing::{create, group, set, user};

use crate::writes_active_directory::common::{PASSWORD, directory, id, operate, password, person, start};

/// `user` and `group` ([MS-ADSC]).
const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
const GROUP: &str = "bf967a9c-0de6-11d0-a285-00aa003049e2";

/// Attributes and sets of attributes of users ([MS-ADA1] to [MS-ADA3]): the sets General, Public and Account, `lockoutTime`,
/// `name`, `cn`.
const WRITABLE: [&str; 6] = [
    "59ba2f42-79a2-11d0-9020-00c04fc2d3cf",
    "e48d0154-bcf8-11d1-8702-00c04fb96050",
    "4c164200-20c0-11d0-a768-00aa006e0529",
    "28630ebf-41d5-11d1-a9c1-0000f80367c1",
    "bf967a0e-0de6-11d0-a285-00aa003049e2",
    "bf96793f-0de6-11d0-a285-00aa003049e2",
];
/// The right to reset a password, and the attribute `member`.
const RESET: &str = "00299570-246d-11d0-a768-00aa006e0529";
const MEMBER: &str = "bf9679c0-0de6-11d0-a285-00aa003049e2";

#[test]
fn the_rights_of_the_handbook_are_enough_for_the_whole_life_of_a_user_and_a_group() -> Result<()> {
    scenario(async |stage| {
        let (samba, _) = start(stage).await?;
        samba.add_reader().await?;
        let writable = WRITABLE.map(|attribute| format!("OA;CIIO;RPWP;{attribute};{USER}"));
        let others = [
            format!("OA;CI;CCDC;{USER};"),
            format!("OA;CI;CCDC;{GROUP};"),
            format!("OA;CIIO;CR;{RESET};{USER}"),
            format!("OA;CIIO;RPWP;{MEMBER};{GROUP}"),
        ];
        let rights: Vec<&str> = writable.iter().chain(&others).map(String::as_str).collect();
        samba.set_rights_of_reader(&rights).await?;
        let directory = directory(&samba, samba::READER, samba::READER_PASSWORD)?;
        let made = operate(&directory, user(Subject::default(), Change::Create(person("anna")))).await?;
        ensure!(made.effect == Effect::Created && samba.can_bind("anna@corp.example", PASSWORD).await?);
        let anna = made.entry.context("no entry")?;
        let must_change = NewPassword { must_change: true, ..password("An0ther!horse") };
        for change in [
            Change::Update(vec![set("displayName", &["Anna"]), set("title", &["Doctor"])]),
            Change::Disable,
            Change::Enable,
            Change::SetPassword(must_change),
            Change::Move(Move { container: None, name: Some("Anna Bell".to_owned()) }),
            Change::Unlock,
        ] {
            let what = format!("{change:?}");
            let done = operate(&directory, user(id(&anna), change)).await.context(what)?;
            ensure!(done.refused.is_empty(), "{done:?}");
        }
        let team = Create { members: vec![id(&anna)], ..create(&[("cn", &["team"])]) };
        let team =
            operate(&directory, group(Subject::default(), Change::Create(team))).await?.entry.context("no group")?;
        let leave = MemberChange { add: Vec::new(), remove: vec![id(&anna)] };
        ensure!(operate(&directory, group(id(&team), Change::Members(leave))).await?.members_removed == 1);
        operate(&directory, group(id(&team), Change::Delete)).await?;
        operate(&directory, user(id(&anna), Change::Delete)).await?;
        ensure!(samba.entries("(|(sAMAccountName=anna)(cn=team))", &["cn"]).await?.is_empty());
        Ok(())
    })
}

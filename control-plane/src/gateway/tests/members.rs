//! Which entry a group's member is, where servers keep entries apart whose DNs compare as equal.

use super::chunks::Written;
use super::matching::{World, group, named};

/// An entry with this DN.
fn at<'w>(dn: &'w str, entry: Written<'w>) -> Written<'w> {
    Written { dn, ..entry }
}

/// DNs that RFC 4518 compares as equal.
const ALIKE: &[(&str, &str)] = &[
    ("cn=Weiß Karl,dc=x", "cn=Weiss Karl,dc=x"),
    ("cn=Ka\u{200b}rl,dc=x", "cn=Karl,dc=x"),
    ("cn=\u{fb01}nn,dc=x", "cn=finn,dc=x"),
    ("cn=José,dc=x", "cn=Jose\u{301},dc=x"),
    ("cn=Karl  Weiss,dc=x", "cn=Karl Weiss,dc=x"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_the_entry_whose_dn_it_writes_and_no_other_that_compares_as_equal() {
    for (one, other) in ALIKE {
        for members in [[*one, "cn=zoe,dc=x"], [*other, "cn=zoe,dc=x"]] {
            let staff = group("g", "cn=staff", &[("cn", "staff")], &members);
            let zoe = at("cn=zoe,dc=x", named("9", "zoe"));
            let meant = if members[0] == *one { "karl" } else { "kurt" };
            // Both entries have users.
            let both = [at(one, named("1", "karl")), at(other, named("2", "kurt"))];
            let mut world = World::new().await;
            let result = world.import("corp", &[both[0], both[1], zoe, staff]).await;
            let mut found = world.members("staff").await;
            found.sort_unstable();
            assert_eq!((found, &result["members_unresolved"]), (vec![meant.to_owned(), "zoe".to_owned()], &0.into()));
            // The second has no login, is in conflict, or was never imported.
            let no_login = Written { login: None, ..both[1] };
            let conflict = Written { login: Some("karl"), ..both[1] };
            for second in [Some(no_login), Some(conflict), None] {
                let mut world = World::new().await;
                let entries: Vec<_> = [Some(both[0]), second, Some(zoe), Some(staff)].into_iter().flatten().collect();
                world.import("corp", &entries).await;
                let found = world.members("staff").await;
                assert_eq!(found.contains(&"karl".to_owned()), meant == "karl", "{members:?} {second:?}: {found:?}");
                assert!(found.contains(&"zoe".to_owned()), "{found:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_and_the_ways_to_write_a_dn_make_no_difference() {
    let mut world = World::new().await;
    let karl = at("cn=Weiß\\, Jörg,ou=Süd,dc=x", named("1", "karl"));
    for member in [
        "CN=weiß\\, JÖRG,OU=SÜD,DC=X",
        "cn=Wei\\C3\\9F\\2C J\\c3\\b6rg , ou = süd;dc=x",
        "2.5.4.3=\"Weiß, Jörg\",organizationalUnitName=süd,dc=x",
    ] {
        let members = [member];
        let result = world.import("corp", &[karl, group("g", "cn=staff", &[("cn", "staff")], &members)]).await;
        assert_eq!((world.members("staff").await, &result["members_unresolved"]), (vec!["karl".to_owned()], &0.into()));
    }
}

//! Which account gets which user, one claim at a time.

use jiff::Timestamp;
use postern_store::{AccountId, OrganizationId};

use super::*;

fn row(name: &str) -> UserRow {
    UserRow {
        id: UserId::new(),
        organization: OrganizationId::new(),
        user_name: name.to_owned(),
        name_key: name.to_lowercase(),
        given_name: None,
        family_name: None,
        display_name: None,
        email: None,
        active: true,
        attributes: "{}".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        missing_since: None,
    }
}

fn claim(current: Option<UserId>, name: &str) -> Claim {
    Claim { current, former: None, wanted: row(name), other_names: Vec::new(), failed: Vec::new(), found: None }
}

/// A user with a name and no account.
fn named(name: &str) -> NamedUser {
    NamedUser {
        name_key: name.to_owned(),
        user: UserId::new(),
        account: None,
        dn: None,
        missing_here: false,
        missing_elsewhere: false,
        has_left: false,
        left_now: false,
        left_on: false,
        elsewhere: false,
        owned_elsewhere: false,
        is_own: false,
        only_suspended: false,
        may_be_joined: true,
    }
}

fn here(name: &str) -> NamedUser {
    NamedUser { account: Some(AccountId::new()), ..named(name) }
}

fn elsewhere(name: &str) -> NamedUser {
    NamedUser { elsewhere: true, owned_elsewhere: true, ..named(name) }
}

fn gone(name: &str, left_now: bool) -> NamedUser {
    NamedUser { missing_here: true, left_now, ..named(name) }
}

fn names(stage: Stage, found: &[NamedUser]) -> Names {
    Names::new(stage, found, Vec::new())
}

fn held(user: UserId, name: &str) -> HeldUser {
    HeldUser { user, name_key: name.to_owned(), here: true, elsewhere: false, owned_elsewhere: false }
}

#[test]
fn a_new_account_gets_a_new_user_and_the_next_of_that_name_a_conflict() {
    let mut names = Names::default();
    assert!(matches!(names.assign(claim(None, "Ada")), Decision::Create(_)));
    assert!(matches!(names.assign(claim(None, "ada")), Decision::Conflict { keeps: None, .. }));
}

#[test]
fn an_account_joins_the_user_of_another_directory_once_and_leaves_its_profile_alone() {
    let holder = elsewhere("ada");
    let mut some = names(Stage::Arriving, std::slice::from_ref(&holder));
    assert_eq!(some.assign(claim(None, "ada")), Decision::Join { user: holder.user, row: None });
    assert!(some.assign(claim(None, "ada")).conflict().is_some(), "the second account of this directory");
    let later = NamedUser { owned_elsewhere: false, ..holder.clone() };
    let decision = names(Stage::Arriving, &[later]).assign(claim(None, "ada"));
    assert!(matches!(decision, Decision::Join { row: Some(_), .. }), "this directory comes first: {decision:?}");
    let refused = NamedUser { may_be_joined: false, ..holder };
    let mut refused = names(Stage::Arriving, &[refused]);
    assert!(matches!(refused.assign(claim(None, "ada")), Decision::Conflict { keeps: None, .. }));
}

#[test]
fn an_account_keeps_its_user_through_a_rename() {
    let user = UserId::new();
    let decision = Names::default().assign(claim(Some(user), "new name"));
    assert!(matches!(&decision, Decision::Update(row) if row.id == user && row.user_name == "new name"));
}

#[test]
fn a_rename_to_a_taken_name_waits_and_takes_all_else_along() {
    let user = UserId::new();
    let decision = names(Stage::Arriving, &[here("taken")]).assign(claim(Some(user), "taken"));
    let Decision::Conflict { name_key, keeps: Some(row) } = decision else { panic!("{decision:?}") };
    assert_eq!((name_key.as_str(), row.id), ("taken", user));
}

#[test]
fn a_name_is_given_up_by_those_who_are_gone_when_all_is_settled_and_never_before() {
    let user = UserId::new();
    for (holder, stage, given_up) in [
        (gone("ada", false), Stage::Settling, true),
        (gone("ada", true), Stage::Settling, true),
        (gone("ada", false), Stage::Returning, false),
        (gone("ada", false), Stage::Arriving, false),
        (here("ada"), Stage::Settling, false),
        (NamedUser { elsewhere: true, ..gone("ada", true) }, Stage::Settling, false),
    ] {
        let from = holder.user;
        let decision = names(stage, std::slice::from_ref(&holder)).assign(claim(Some(user), "ada"));
        let inherits = matches!(decision, Decision::Inherit { from: giver, .. } if giver == from);
        assert_eq!(inherits, given_up, "{stage:?} {holder:?}");
    }
}

#[test]
fn a_user_passes_to_a_new_entry_only_from_one_that_left_in_this_very_import() {
    for (holder, stage, passes) in [
        (gone("ada", true), Stage::Returning, true),
        (gone("ada", false), Stage::Returning, false),
        (gone("ada", true), Stage::Arriving, false),
        (gone("ada", false), Stage::Settling, false),
        (here("ada"), Stage::Returning, false),
    ] {
        let decision = names(stage, std::slice::from_ref(&holder)).assign(claim(None, "ada"));
        assert_eq!(matches!(decision, Decision::TakeOver { .. }), passes, "{stage:?} {holder:?}");
        assert_eq!(decision.conflict().is_some(), !passes);
    }
}

#[test]
fn an_entry_that_comes_back_returns_to_the_user_that_it_had() {
    let user = UserId::new();
    let back = |held: HeldUser, found: &[NamedUser]| {
        let claim = Claim { former: Some(user), ..claim(None, "ada") };
        Names::new(Stage::Returning, found, vec![held]).assign(claim)
    };
    let free = HeldUser { here: false, ..held(user, "ada") };
    assert!(matches!(back(free.clone(), &[]), Decision::TakeOver { user: taken, row: Some(_) } if taken == user));
    let renamed = back(free, &[here("ada")]);
    assert!(matches!(renamed, Decision::Conflict { keeps: Some(row), .. } if row.id == user), "only the name waits");
    let occupied = back(held(user, "ada"), &[NamedUser { user, ..here("ada") }]);
    assert!(matches!(occupied, Decision::Conflict { keeps: None, .. }), "{occupied:?}");
}

#[test]
fn the_profile_of_a_user_is_the_first_directorys() {
    let user = UserId::new();
    let first = HeldUser { owned_elsewhere: true, ..held(user, "ada") };
    let mut names = Names::new(Stage::Arriving, &[here("other")], vec![first]);
    assert_eq!(names.assign(claim(Some(user), "other")), Decision::Keep(user));
}

#[test]
fn the_order_of_several_logins_changes_no_name() {
    let user = UserId::new();
    let decide = |others: &[&str]| {
        let other_names = others.iter().map(|&name| name.to_owned()).collect();
        let mut names = Names::new(Stage::Arriving, &[], vec![held(user, "ada")]);
        match names.assign(Claim { other_names, ..claim(Some(user), "alias") }) {
            Decision::Update(row) => (row.user_name, row.name_key),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(decide(&["x", "Ada"]), ("Ada".to_owned(), "ada".to_owned()));
    assert_eq!(decide(&["x"]).1, "alias", "the old name is none of its names any more");
}

#[test]
fn an_entry_without_a_login_makes_no_user_and_takes_no_name_away() {
    let nameless = Names::default().assign(claim(None, ""));
    assert_eq!((nameless.identity(), nameless.conflict()), (None, None));
    let user = UserId::new();
    let kept = Names::default().assign(claim(Some(user), ""));
    assert!(matches!(kept, Decision::Nameless { keeps: Some(row) } if row.id == user));
}

#[test]
fn a_user_that_the_organization_made_is_not_gone_because_no_directory_has_it() {
    let own = NamedUser { is_own: true, ..named("ada") };
    let user = UserId::new();
    let mut settling = Names::new(Stage::Settling, std::slice::from_ref(&own), vec![held(user, "anna")]);
    let renamed = settling.assign(claim(Some(user), "ada"));
    assert!(renamed.conflict().is_some(), "it keeps its name: {renamed:?}");
    let joined = names(Stage::Arriving, std::slice::from_ref(&own)).assign(claim(None, "ada"));
    assert!(matches!(joined, Decision::Join { user, row: Some(_) } if user == own.user), "{joined:?}");
    let refused = NamedUser { may_be_joined: false, ..own.clone() };
    let suspended = NamedUser { has_left: true, ..own };
    for waits in [refused, suspended] {
        let decision = names(Stage::Arriving, &[waits]).assign(claim(None, "ada"));
        assert!(decision.conflict().is_some(), "{decision:?}");
    }
}

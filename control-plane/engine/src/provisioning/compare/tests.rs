//! What is done about a user or group, by what is wanted, known and allowed.

use super::super::settings::{LeavingThen, Switches};
use super::*;

fn on() -> Settings {
    let switches = Switches {
        create_users: true,
        edit_users: true,
        delete_users: true,
        enable_disable_users: true,
        sync_passwords: true,
        create_groups: true,
        edit_groups: true,
        delete_groups: true,
        sync_members: true,
        write_through: true,
    };
    Settings { switches, ..Settings::default() }
}

fn attributes(pairs: &[(&str, &[&str])]) -> Attributes {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    pairs.iter().map(|(name, all)| ((*name).to_owned(), values(all))).collect()
}

fn anna() -> Wanted {
    let attributes = attributes(&[("uid", &["anna"]), ("mail", &["anna@corp.example"]), ("title", &[])]);
    Wanted { exists: Some(true), active: true, attributes, ..Wanted::default() }
}

fn known() -> Known {
    let entry =
        Reference { external_id: "7".to_owned(), dn: "uid=anna,ou=people,dc=x".to_owned(), ..Reference::default() };
    let attributes = attributes(&[("uid", &["anna"]), ("mail", &["anna@corp.example"])]);
    Known {
        entry,
        attributes,
        agreed: Agreed::default(),
        enabled: Some(true),
        outbound: true,
        left: false,
        overdue: false,
        disabled_here: false,
    }
}

fn agreed(pairs: &[(&str, &[&str])]) -> Agreed {
    Agreed { values: attributes(pairs), ..Agreed::default() }
}

fn actions(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(|step| step.change.action()).collect()
}

fn of_user(wanted: &Wanted, known: Option<&Known>, settings: &Settings) -> Vec<&'static str> {
    actions(&user(wanted, known, settings))
}

#[test]
fn what_is_as_wanted_means_nothing_to_do() {
    assert!(user(&anna(), Some(&known()), &on()).is_empty());
    // Neither the order of values nor the case of a name is a difference.
    let wanted = Wanted { attributes: attributes(&[("Mail", &["b", "a"])]), ..anna() };
    let known = Known { attributes: attributes(&[("mail", &["a", "b"])]), ..known() };
    assert!(user(&wanted, Some(&known), &on()).is_empty());
}

#[test]
fn an_account_is_made_only_for_those_who_are_assigned_and_may_sign_in() {
    assert_eq!(of_user(&anna(), None, &on()), ["create"]);
    for wanted in [
        Wanted { active: false, ..anna() },
        Wanted { exists: Some(false), ..anna() },
        Wanted { exists: None, ..anna() },
    ] {
        assert!(of_user(&wanted, None, &on()).is_empty(), "{wanted:?}");
    }
    let steps = user(&anna(), None, &on());
    let Change::Create { attributes, enabled, .. } = &steps[0].change else { panic!("{steps:?}") };
    assert!(*enabled && !attributes.contains_key("title"), "an attribute without a value is not sent");
}

#[test]
fn a_difference_is_sent_with_what_was_known() {
    let wanted = Wanted { attributes: attributes(&[("mail", &["bell@corp.example"])]), ..anna() };
    let steps = user(&wanted, Some(&known()), &on());
    let Change::Update { changes, .. } = &steps[0].change else { panic!("{steps:?}") };
    assert_eq!(changes.len(), 1);
    assert_eq!((&changes[0].known[0][..], &changes[0].wanted[0][..]), ("anna@corp.example", "bell@corp.example"));
    // The attribute in the DN means another name.
    let wanted = Wanted { attributes: attributes(&[("uid", &["bell"])]), ..anna() };
    assert_eq!(of_user(&wanted, Some(&known()), &on()), ["move"]);
}

#[test]
fn an_attribute_that_the_site_does_not_deliver_is_sent_once() {
    let wanted = Wanted { attributes: attributes(&[("roomNumber", &["7"])]), ..anna() };
    assert_eq!(of_user(&wanted, Some(&known()), &on()), ["update"]);
    let sent = Known { agreed: agreed(&[("roomNumber", &["7"])]), ..known() };
    assert!(of_user(&wanted, Some(&sent), &on()).is_empty());
}

#[test]
fn who_is_disabled_is_disabled_first_and_enabled_last() {
    let edited = attributes(&[("mail", &["x@corp.example"])]);
    let off = Wanted { active: false, attributes: edited.clone(), ..anna() };
    assert_eq!(of_user(&off, Some(&known()), &on()), ["disable", "update"]);
    let disabled = Known { enabled: Some(false), ..known() };
    let active = Wanted { attributes: edited, ..anna() };
    assert_eq!(of_user(&active, Some(&disabled), &on()), ["update", "enable"]);
}

#[test]
fn who_comes_from_the_target_is_only_disabled_by_an_administrator() {
    let inbound = Known { outbound: false, ..known() };
    let left = Wanted { exists: Some(false), active: false, ..anna() };
    assert!(of_user(&left, Some(&inbound), &on()).is_empty());
    assert!(of_user(&Wanted { active: false, ..anna() }, Some(&inbound), &on()).is_empty());
    let suspended = Wanted { active: false, suspended: true, ..anna() };
    assert_eq!(of_user(&suspended, Some(&inbound), &on()), ["disable"]);
    let suspended = Wanted { exists: Some(false), ..suspended };
    assert_eq!(of_user(&suspended, Some(&inbound), &on()), ["disable"]);
    // What provisioning has disabled is enabled again; what the target has disabled is not.
    let disabled = Known { enabled: Some(false), disabled_here: true, ..inbound.clone() };
    let off = Wanted { active: false, ..anna() };
    for exists in [Some(true), Some(false), None] {
        let wanted = Wanted { exists, ..off.clone() };
        assert_eq!(of_user(&wanted, Some(&disabled), &on()), ["enable"], "{exists:?}");
        let theirs = Known { disabled_here: false, ..disabled.clone() };
        assert!(of_user(&wanted, Some(&theirs), &on()).is_empty(), "{exists:?}");
    }
    assert!(of_user(&suspended, Some(&disabled), &on()).is_empty());
    let switches = Switches { enable_disable_users: false, ..on().switches };
    assert!(of_user(&off, Some(&disabled), &Settings { switches, ..on() }).is_empty());
}

#[test]
fn what_becomes_of_an_account_without_a_user_is_a_rule() {
    let left = Wanted { exists: Some(false), ..anna() };
    let rule = |leaving| Settings { leaving, ..on() };
    assert_eq!(of_user(&left, Some(&known()), &rule(Leaving::Disable)), ["disable"]);
    assert_eq!(of_user(&left, Some(&known()), &rule(Leaving::Delete)), ["delete"]);
    assert!(of_user(&left, Some(&known()), &rule(Leaving::Keep)).is_empty());
    let disabled = Known { enabled: Some(false), ..known() };
    assert!(of_user(&left, Some(&disabled), &rule(Leaving::Disable)).is_empty());
    // Nobody has said who is assigned.
    assert!(of_user(&Wanted { exists: None, ..anna() }, Some(&known()), &rule(Leaving::Delete)).is_empty());
}

#[test]
fn what_is_switched_off_is_never_done() {
    let settings = Settings { leaving: Leaving::Delete, ..Settings::default() };
    let differs = Wanted { attributes: attributes(&[("mail", &["x"]), ("uid", &["y"])]), active: false, ..anna() };
    let left = Wanted { exists: Some(false), ..anna() };
    for (wanted, known) in [(&anna(), None), (&differs, Some(&known())), (&left, Some(&known()))] {
        assert!(user(wanted, known, &settings).is_empty(), "{wanted:?}");
        let differ = MembersDiffer { add: vec![Reference::default()], remove: vec![Reference::default()] };
        assert!(group(wanted, known, differ, &settings).is_empty(), "{wanted:?}");
    }
}

#[test]
fn a_value_that_only_the_target_has_changed_goes_by_the_rule() {
    let drifted = Known {
        attributes: attributes(&[("mail", &["theirs@corp.example"])]),
        agreed: agreed(&[("mail", &["anna@corp.example"])]),
        ..known()
    };
    let wanted = Wanted { attributes: attributes(&[("mail", &["anna@corp.example"])]), ..anna() };
    assert_eq!(of_user(&wanted, Some(&drifted), &on()), ["update"]);
    let theirs = Settings { both_changed: BothChanged::TargetWins, ..on() };
    assert!(of_user(&wanted, Some(&drifted), &theirs).is_empty());
}

#[test]
fn a_value_that_is_gone_from_the_target_is_seen_where_it_was_delivered() {
    let wanted = Wanted { attributes: attributes(&[("Title", &["Engineer"])]), ..anna() };
    let sent = agreed(&[("title", &["Engineer"])]);
    let unseen = Known { agreed: sent.clone(), ..known() };
    assert!(of_user(&wanted, Some(&unseen), &on()).is_empty());
    let gone = Known { agreed: Agreed { delivered: ["title".to_owned()].into(), ..sent }, ..known() };
    assert_eq!(of_user(&wanted, Some(&gone), &on()), ["update"]);
    let theirs = Settings { both_changed: BothChanged::TargetWins, ..on() };
    assert!(of_user(&wanted, Some(&gone), &theirs).is_empty());
    // Nobody wants what is gone.
    let none = Wanted { attributes: attributes(&[("title", &[])]), ..anna() };
    assert!(of_user(&none, Some(&gone), &on()).is_empty());
}

#[test]
fn what_the_target_keeps_in_another_form_is_written_once() {
    let wanted = |values: &[&str]| Wanted { attributes: attributes(&[("title", values)]), ..anna() };
    let is_now = |now: &[&str], agreed: &Agreed| Known {
        attributes: attributes(&[("title", now)]),
        agreed: agreed.clone(),
        ..known()
    };
    let mut sent = agreed(&[]);
    sent.note("title", &["Dr  Head".to_owned()], Some(&attributes(&[("Title", &["Dr Head"])])));
    assert!(user(&wanted(&["Dr  Head"]), Some(&is_now(&["Dr Head"], &sent)), &on()).is_empty());
    // Another wish, and another value in the target, are differences.
    assert_eq!(of_user(&wanted(&["Head"]), Some(&is_now(&["Dr Head"], &sent)), &on()), ["update"]);
    assert_eq!(of_user(&wanted(&["Dr  Head"]), Some(&is_now(&["Boss"], &sent)), &on()), ["update"]);
    let target_wins = Settings { both_changed: BothChanged::TargetWins, ..on() };
    assert_eq!(of_user(&wanted(&["Head"]), Some(&is_now(&["Dr Head"], &sent)), &target_wins), ["update"]);
    // Values are a set.
    assert!(user(&wanted(&["5", "5"]), Some(&is_now(&["5"], &agreed(&[]))), &on()).is_empty());
}

#[test]
fn whom_somebody_else_has_disabled_is_told_apart() {
    let of = |known: &Known| lifts(&user(&anna(), Some(known), &on()), Some(known));
    let off = Known { enabled: Some(false), ..known() };
    assert_eq!(of(&off), Some(Lifted::Adopted));
    assert_eq!(of(&Known { agreed: agreed(&[("mail", &["x"])]), ..off.clone() }), Some(Lifted::Known));
    assert_eq!(of(&Known { disabled_here: true, ..off.clone() }), None);
    assert_eq!(of(&known()), None);
    assert_eq!(lifts(&[], Some(&off)), None);
}

#[test]
fn a_value_that_the_organization_never_had_stays_in_the_target() {
    let adopted = Known { attributes: attributes(&[("uid", &["anna"]), ("title", &["Doctor"])]), ..known() };
    let wanted = Wanted { attributes: attributes(&[("uid", &["anna"]), ("title", &[])]), ..anna() };
    assert!(of_user(&wanted, Some(&adopted), &on()).is_empty());
    // One that it had and has no more is taken away.
    let had = Known { agreed: agreed(&[("title", &["Doctor"])]), ..adopted };
    assert_eq!(of_user(&wanted, Some(&had), &on()), ["update"]);
}

#[test]
fn where_the_target_wins_it_keeps_out_whom_it_has_disabled() {
    let theirs = Settings { both_changed: BothChanged::TargetWins, ..on() };
    let disabled = Known { enabled: Some(false), ..known() };
    assert_eq!(of_user(&anna(), Some(&disabled), &on()), ["enable"]);
    assert!(of_user(&anna(), Some(&disabled), &theirs).is_empty());
    // Provisioning has disabled it, or made it without a password.
    let ours = Known { disabled_here: true, ..disabled };
    assert_eq!(of_user(&anna(), Some(&ours), &theirs), ["enable"]);
    let off = Wanted { active: false, ..anna() };
    assert_eq!(of_user(&off, Some(&known()), &theirs), ["disable"]);
}

#[test]
fn a_group_is_made_with_its_members_and_then_only_differs_by_them() {
    let member = |dn: &str| Reference { external_id: String::new(), dn: dn.to_owned(), ..Reference::default() };
    let differ = || MembersDiffer { add: vec![member("uid=anna")], remove: Vec::new() };
    let wanted = Wanted { attributes: attributes(&[("cn", &["staff"])]), ..anna() };
    let steps = group(&wanted, None, differ(), &on());
    assert!(matches!(&steps[0].change, Change::Create { members, .. } if members.len() == 1), "{steps:?}");
    let known = Known { attributes: attributes(&[("cn", &["staff"])]), ..known() };
    assert_eq!(actions(&group(&wanted, Some(&known), differ(), &on())), ["change_members"]);
    assert!(group(&wanted, Some(&known), MembersDiffer::default(), &on()).is_empty());
    // A group that comes from the target keeps its values, and gets members that the organization has added.
    let inbound = Known { outbound: false, attributes: Attributes::new(), ..known };
    let unchosen = Wanted { exists: Some(false), ..wanted };
    assert_eq!(actions(&group(&unchosen, Some(&inbound), differ(), &on())), ["change_members"]);
}

#[test]
fn an_account_moves_when_its_container_changes() {
    let entry = |dn: &str| Reference { dn: dn.to_owned(), ..known().entry };
    let at = |dn: &str| Known { entry: entry(dn), ..known() };
    let wants = |container: &str| Wanted { container: Some(container.to_owned()), ..anna() };
    let sales = at("uid=anna,OU=Sales,ou=people,dc=x");
    assert!(user(&wants("ou=sales"), Some(&sales), &on()).is_empty(), "the case of a name is no difference");
    let steps = user(&wants("ou=Works"), Some(&sales), &on());
    let to = Change::Move { container: Some("ou=Works".to_owned()), name: None };
    assert_eq!(steps.into_iter().map(|step| step.change).collect::<Vec<_>>(), [to]);
    assert_eq!(of_user(&wants("ou=North,ou=Sales"), Some(&sales), &on()), ["move"]);
    assert!(user(&anna(), Some(&sales), &on()).is_empty(), "the site decides");
    // A new name and a new container are one step.
    let renamed = Wanted { attributes: attributes(&[("uid", &["bell"])]), ..wants("ou=Works") };
    let steps = user(&renamed, Some(&sales), &on());
    let to = Change::Move { container: Some("ou=Works".to_owned()), name: Some("bell".to_owned()) };
    assert_eq!(steps[0].change, to);
    // Users of the target are where it says, and so is everybody where it wins.
    let imported = Known { outbound: false, ..sales.clone() };
    assert!(user(&wants("ou=Works"), Some(&imported), &on()).is_empty());
    let target_wins = Settings { both_changed: BothChanged::TargetWins, ..on() };
    assert!(user(&wants("ou=Works"), Some(&sales), &target_wins).is_empty());
    let no_edits = Settings { switches: Switches { edit_users: false, ..on().switches }, ..on() };
    assert!(user(&wants("ou=Works"), Some(&sales), &no_edits).is_empty());
}

#[test]
fn where_nobody_is_enabled_without_a_password_an_account_is_made_disabled_and_enabled_later() {
    let wanted = Wanted { needs_password: true, ..anna() };
    let steps = user(&wanted, None, &on());
    assert!(matches!(steps[0].change, Change::Create { enabled: false, .. }), "{steps:?}");
    let steps = user(&anna(), None, &on());
    assert!(matches!(steps[0].change, Change::Create { enabled: true, .. }), "{steps:?}");
    let made = Known { enabled: Some(false), ..known() };
    assert_eq!(of_user(&wanted, Some(&made), &on()), ["enable"]);
}

#[test]
fn a_time_that_comes_back_in_another_form_is_no_change() {
    let fraction = [["2027-01-31T00:00:00.123456Z".to_owned()], ["134458272000000000".to_owned()]];
    assert!(same("accountExpires", &fraction[0], &fraction[1]), "the target keeps whole seconds");
    let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let same = |attribute, one, other| super::same(attribute, &list(one), &list(other));
    for written in ["2020-06-30", "2020-06-30T00:00:00Z", "20200630000000Z", "132379488000000000"] {
        assert!(same("accountExpires", "132379488000000000", written), "{written}");
        assert!(!same("accountExpires", "132379488010000000", written), "{written}");
        assert!(!same("accountExpires", "9223372036854775807", written), "{written}");
        assert!(!same("title", "132379488000000000", written) || written.starts_with("13"), "{written}");
    }
    for never in ["", "0", "never", "9223372036854775807"] {
        assert!(same("accountExpires", "9223372036854775807", never), "{never}");
    }
    assert!(same("pwdAccountLockedTime", "20261128100000.0Z", "20261128100000Z"));
    assert!(!same("accountExpires", "132379488000000000", "soon"));
    // Nothing to do, although rule and entry write it differently.
    let mut wanted = anna();
    wanted.attributes.extend(attributes(&[("accountExpires", &["2020-06-30"])]));
    let mut known = known();
    known.attributes.extend(attributes(&[("accountExpires", &["132379488000000000"])]));
    known.agreed = agreed(&[("accountExpires", &["2020-06-30"])]);
    assert_eq!(user(&wanted, Some(&known), &on()), []);
}

#[test]
fn who_leaves_is_disabled_and_moved_and_deleted_days_later_and_comes_back() {
    let leaving_then = LeavingThen { move_to: Some("ou=Former".to_owned()), ..LeavingThen::default() };
    let settings = Settings { leaving_then, ..on() };
    let gone = Wanted { exists: Some(false), ..anna() };
    let steps = user(&gone, Some(&known()), &settings);
    assert_eq!(actions(&steps), ["disable", "move"]);
    assert_eq!(steps[1].change, Change::Move { container: Some("ou=Former".to_owned()), name: None });
    let at = |dn: &str| {
        let entry = Reference { dn: dn.to_owned(), ..known().entry };
        Known { entry, enabled: Some(false), disabled_here: true, left: true, ..known() }
    };
    let former = at("uid=anna,OU=former,ou=people,dc=x");
    assert!(of_user(&gone, Some(&former), &settings).is_empty());
    assert_eq!(of_user(&gone, Some(&at("uid=anna,ou=other,ou=people,dc=x")), &settings), ["move"]);
    let overdue = Known { overdue: true, ..former.clone() };
    assert_eq!(of_user(&gone, Some(&overdue), &settings), ["delete"]);
    // What is not allowed does not happen.
    let allowed = |switches| Settings { switches, ..settings.clone() };
    let switches = Switches { edit_users: false, ..on().switches };
    assert_eq!(of_user(&gone, Some(&known()), &allowed(switches)), ["disable"]);
    let switches = Switches { delete_users: false, ..on().switches };
    assert!(of_user(&gone, Some(&overdue), &allowed(switches)).is_empty());
    // Nobody says who is assigned: it stays.
    assert!(of_user(&Wanted { exists: None, ..anna() }, Some(&overdue), &settings).is_empty());
    // Back, even on the last day: moved to where the site or the settings say, and enabled at the end.
    let back = |wanted: &Wanted, known: &Known| {
        let steps = user(wanted, Some(known), &settings);
        let Change::Move { container, .. } = &steps[0].change else { panic!("{steps:?}") };
        (actions(&steps), container.clone())
    };
    assert_eq!(back(&anna(), &overdue), (vec!["move", "enable"], Some(String::new())));
    let sales = Wanted { container: Some("ou=Sales".to_owned()), ..anna() };
    assert_eq!(back(&sales, &former), (vec!["move", "enable"], Some("ou=Sales".to_owned())));
    // Also where the target wins: Postern itself has moved it there.
    let target_wins = Settings { both_changed: BothChanged::TargetWins, ..settings.clone() };
    assert_eq!(of_user(&sales, Some(&former), &target_wins), ["move", "enable"]);
    // Nobody knows where, or it may stay, or somebody else has put it there.
    assert_eq!(of_user(&Wanted { nowhere: true, ..anna() }, Some(&former), &settings), ["enable"]);
    let there = Wanted { container: Some("ou=Former".to_owned()), ..anna() };
    assert_eq!(of_user(&there, Some(&former), &settings), ["enable"]);
    assert_eq!(of_user(&anna(), Some(&Known { left: false, ..former }), &settings), ["enable"]);
}

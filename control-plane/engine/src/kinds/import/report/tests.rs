//! How the figures and samples of an import are worded.

use serde_json::json;

use super::*;
use crate::jobs::report::Block;

fn shown(result: &Value) -> String {
    let mut report = Report::default();
    show(Ended { directory: "head office", result, error: &Value::Null }, &mut report);
    let lines = report.blocks.into_iter().map(|block| match block {
        Block::Line(line) => line + "\n",
        Block::Table { .. } => panic!("an import has no table"),
    });
    lines.collect()
}

#[test]
fn one_is_not_several() {
    let text = shown(&json!({ "users": 1, "groups": 0, "not_visible": 1 }));
    assert!(
        text.contains("1  user in the") && text.contains("0  groups in") && text.contains("whether it is"),
        "{text}"
    );
}

#[test]
fn a_list_that_is_not_whole_says_so() {
    let samples: Vec<Value> = (0..20).map(|number| json!({ "dn": format!("uid={number}") })).collect();
    let text = shown(&json!({ "without_login": 57, "without_login_samples": samples }));
    assert!(text.contains("(20 of 57 are shown)"), "{text}");
    let text = shown(&json!({ "without_login": 20, "without_login_samples": samples }));
    assert!(!text.contains("are shown"), "{text}");
    // For external ids, the ids are counted, not the entries left out.
    let samples: Vec<Value> = (0..20).map(|id| json!({ "external_id": id.to_string(), "dns": ["uid=a"] })).collect();
    let text = shown(&json!({ "duplicates": 90, "shared_external_ids": 31, "duplicate_samples": samples }));
    assert!(text.contains("(20 of 31 are shown)"), "{text}");
}

#[test]
fn rules_that_failed_are_shown_with_entry_and_value() {
    let sample = json!({ "rule": "email", "dn": "uid=ada", "error": "this is no e-mail address", "value": "none" });
    let text = shown(&json!({ "rule_failures": 7, "rule_failure_samples": [sample] }));
    assert!(text.contains("7  failures of mapping rules"), "{text}");
    assert!(text.contains("rule email failed on uid=ada: this is no e-mail address (it read none)"), "{text}");
    assert!(text.contains("(1 of 7 are shown)"), "{text}");
}

#[test]
fn a_member_whose_name_two_entries_have_names_both_and_says_what_to_do() {
    let samples = [
        json!({ "group": "g1", "member": "cn=a", "shared_by": ["cn=a,dc=x", "CN=A,dc=x"] }),
        json!({ "group": "g2", "member": "cn=b", "shared_by": [] }),
    ];
    let text =
        shown(&json!({ "members_unresolved": 3, "members_ambiguous": 1, "members_unresolved_samples": samples }));
    assert!(text.contains("2  members that point to no imported entry"), "{text}");
    assert!(text.contains("1  member that is nobody"), "{text}");
    assert!(text.contains("cn=a,dc=x and CN=A,dc=x, whose names are compared as equal; rename one"), "{text}");
    assert!(text.contains("points to no imported entry: cn=b in g2") && !text.contains("scope"), "{text}");
    assert!(text.contains("(2 of 3 are shown)"), "{text}");
}

#[test]
fn a_container_that_seems_to_be_renamed_is_named_with_what_to_do() {
    let sample = json!({ "dn": "cn=a,ou=b,dc=x", "reason": "container_not_found", "container": "ou=b,dc=x",
        "renamed_to": "ou=c,dc=x" });
    let text = shown(&json!({ "not_visible": 1, "not_visible_samples": [sample] }));
    assert!(text.contains("cn=a,ou=b,dc=x: the container ou=b,dc=x seems to be renamed to ou=c,dc=x"), "{text}");
    assert!(text.contains("--gone ou=b,dc=x") && !text.contains("account read it"), "{text}");
}

#[test]
fn users_of_whom_it_is_unknown_whether_they_are_enabled_are_named() {
    let text = shown(&json!({ "unknown_switches": 30, "unreadable_switch": "accountExpires and userAccountControl",
        "unknown_switch_samples": ["cn=a,dc=x: userAccountControl"] }));
    assert!(text.contains("unknown whether enabled: cn=a,dc=x: userAccountControl cannot be read"), "{text}");
    assert!(text.contains("(1 of 30 are shown)"), "{text}");
    assert!(text.contains("unknown: accountExpires and userAccountControl cannot be read"), "{text}");
}

#[test]
fn gone_is_proposed_where_it_would_help_and_one_that_covers_nobody_is_named() {
    let sample = |reason: &str, container: Option<&str>| json!({ "dn": "uid=a,ou=a b,dc=x", "reason": reason, "container": container });
    let samples = [sample("container_not_found", Some("ou=a b,dc=x")), sample("container_unreadable", None)];
    let text = shown(&json!({ "not_visible": 2, "not_visible_samples": samples, "gone_unused": ["ou=north,dc=x"] }));
    let proposed = "postern jobs start import --directory 'head office' --gone 'ou=a b,dc=x'\n";
    assert!(text.contains(proposed) && text.contains("--gone ou=north,dc=x: no account"), "{text}");
    let text = shown(&json!({ "not_visible": 1, "not_visible_samples": [sample("container_unreadable", None)] }));
    assert!(!text.contains("--gone"), "{text}");
}

#[test]
fn a_conflict_says_who_has_the_name_and_who_may_decide() {
    let sample = |holder: &str, dn: Option<&str>| {
        let text = shown(&json!({ "conflicts": 1, "conflict_samples": [
            { "user_name": "ada", "dn": "uid=ada,dc=x", "holder": holder, "held_by_dn": dn }] }));
        assert!(!text.contains("held by -") && !text.contains("held by ?"), "{text}");
        text
    };
    let own = sample("organization", None);
    assert!(own.contains("ada of uid=ada,dc=x is held by a user whom the organization made"), "{own}");
    assert!(own.contains("conflicts link` or `postern conflicts ignore`"), "{own}");
    let gone = sample("gone", Some("uid=b,dc=x"));
    assert!(gone.contains("held by uid=b,dc=x, who is gone from the directory"), "{gone}");
    assert!(gone.contains("postern conflicts create-user"), "{gone}");
    assert!(sample("directory", Some("uid=b,dc=x")).contains("held by uid=b,dc=x\n"));
    let nobody = sample("nobody", None);
    assert!(nobody.contains("has lost the name; the next import links it") && !nobody.contains("held by"), "{nobody}");
}

#[test]
fn an_account_of_a_user_whom_the_organization_made_is_said_to_be_one() {
    let shared = |others: &str, own: bool| {
        shown(&json!({ "joined": 1, "joined_samples": [
            { "user_name": "ada", "dn": "uid=ada,dc=x", "directories": others, "own": own }] }))
    };
    assert!(shared("corp, lab", false).contains("is an account of the user ada, who has one in corp, lab too"));
    assert!(shared("", true).contains("is an account of the user ada, whom the organization made"));
    assert!(shared("", false).contains("is an account of the user ada\n"));
}

#[test]
fn users_who_changed_are_named() {
    let one = |dn: &str| json!([{ "dn": dn, "display_name": "Ada" }]);
    let text = shown(&json!({
        "became_active": 1, "became_active_samples": one("uid=a"), "became_inactive": 21,
        "became_inactive_samples": one("uid=b"), "renamed": 1, "renamed_samples": one("uid=c"),
        "taken_over": 1, "taken_over_samples": one("uid=d"), "deactivated": 1, "deactivated_samples": one("uid=e"),
    }));
    for line in [
        "now active: uid=a (Ada)",
        "now inactive: uid=b (Ada)",
        "has another user name: uid=c (Ada)",
        "made anew: uid=d (Ada)",
        "left, and is inactive: uid=e (Ada)",
        "(1 of 21 are shown)",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

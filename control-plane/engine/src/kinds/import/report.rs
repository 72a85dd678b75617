//! Reports the result of an import for people: its figures, and samples of entries to look at.

use serde_json::Value;

use crate::jobs::report::{Ended, Report, line, value};
use crate::kinds::found::holder;

/// The figures of an import in their order: key, singular and plural.
const FIGURES: &[(&str, &str, &str)] = &[
    ("users", "user in the directory", "users in the directory"),
    ("groups", "group in the directory", "groups in the directory"),
    ("created", "new account", "new accounts"),
    ("updated", "changed account", "changed accounts"),
    ("returned", "account that came back", "accounts that came back"),
    ("unchanged", "unchanged account", "unchanged accounts"),
    ("missing", "newly marked missing", "newly marked missing"),
    ("deactivated", "user who left and became inactive", "users who left and became inactive"),
    (
        "unknown_switches",
        "user of whom it is unknown whether they are enabled",
        "users of whom it is unknown whether they are enabled",
    ),
    (
        "taken_over",
        "made anew: an entry that got the user or group of the one before",
        "made anew: entries that got the user or group of the one before",
    ),
    (
        "joined",
        "account that shares a user with another directory from now on",
        "accounts that share a user with another directory from now on",
    ),
    ("without_login", "entry without a login", "entries without a login"),
    (
        "duplicates",
        "entry left out: another entry has its external id",
        "entries left out: another entry has their external id",
    ),
    (
        "came_again",
        "entry that came more than once, as where base DNs overlap",
        "entries that came more than once, as where base DNs overlap",
    ),
    ("became_active", "user who became active", "users who became active"),
    ("became_inactive", "user who became inactive", "users who became inactive"),
    (
        "ends_soon",
        "user whose account now ends within 30 days: active until then",
        "users whose accounts now end within 30 days: active until then",
    ),
    ("renamed", "user who got another user name", "users who got another user name"),
    ("members_removed", "member removed from a group", "members removed from groups"),
    ("conflicts", "conflict of user names", "conflicts of user names"),
    ("members_resolved", "member of a group", "members of groups"),
    ("members_without_user", "member whose entry has no user", "members whose entries have no user"),
    ("members_unresolved", "member that points to no imported entry", "members that point to no imported entry"),
    (
        "members_ambiguous",
        "member that is nobody, because several entries have its name",
        "members that are nobody, because several entries have their name",
    ),
    ("referrals", "referral not followed", "referrals not followed"),
    ("unusable", "entry that could not be used", "entries that could not be used"),
    (
        "remarks",
        "entry left out, or imported without its members",
        "entries left out, or imported without their members",
    ),
    (
        "missing_left_scope",
        "of these is still in the directory, outside of base DNs, scope or filter",
        "of these are still in the directory, outside of base DNs, scope or filter",
    ),
    (
        "missing_disabled",
        "of these is disabled there, and inactive whatever other directories say",
        "of these are disabled there, and inactive whatever other directories say",
    ),
    (
        "not_visible",
        "not found, not marked: nobody can say whether it is there",
        "not found, not marked: nobody can say whether they are there",
    ),
    (
        "missing_other_server",
        "not found, not marked: another directory server was read, which may be behind the last one",
        "not found, not marked: another directory server was read, which may be behind the last one",
    ),
    (
        "missing_not_looked_for",
        "not found, not marked: the agent is too old to look for it directly; update the agent",
        "not found, not marked: the agent is too old to look for them directly; update the agent",
    ),
    (
        "rule_failures",
        "mapping rule that failed on an entry: what it fills keeps the last good value",
        "failures of mapping rules: what they fill keeps the last good value",
    ),
    ("values_left_out", "value left out: too large to be kept", "values left out: too large to be kept"),
    (
        "missing_spared",
        "not found, not marked: it may be among the entries that could not be used",
        "not found, not marked: they may be among the entries that could not be used",
    ),
];

/// Reports the result of an import of this directory.
pub(super) fn show(ended: Ended<'_>, report: &mut Report) {
    let Ended { directory, result, .. } = ended;
    for (key, one, many) in FIGURES.iter().copied() {
        if let Some(figure) = figure(result, key).filter(|figure| *figure > 0 || matches!(key, "users" | "groups")) {
            report.line(format!("{figure:>9}  {}", if figure == 1 { one } else { many }));
        }
    }
    notes(result, report);
    people(result, report);
    let without = not_visible(result, report);
    gone(directory, &without, result, report);
    entries(result, report);
}

fn figure(result: &Value, key: &str) -> Option<u64> {
    let figure = result[key].as_u64()?;
    // All unresolved members; those with a name that several entries have get a line of their own.
    let others = if key == "members_unresolved" { result["members_ambiguous"].as_u64() } else { None };
    Some(figure.saturating_sub(others.unwrap_or_default()))
}

/// Samples from a result by key; `total` counts all. Says how many are shown if there are more.
fn some(result: &Value, key: &str, total: &str, report: &mut Report, words: impl Fn(&Value) -> String) {
    let shown = result[key].as_array().map(Vec::as_slice).unwrap_or_default();
    for sample in shown {
        report.line(words(sample));
    }
    let all = result[total].as_u64().unwrap_or_default();
    if !shown.is_empty() && all > shown.len() as u64 {
        report.line(format!("  ({} of {all} are shown)", shown.len()));
    }
}

fn text(sample: &Value, key: &str) -> String {
    line(sample[key].as_str().unwrap_or("?"))
}

fn notes(result: &Value, report: &mut Report) {
    for section in result["other_configuration"].as_array().into_iter().flatten() {
        let section = line(section.as_str().unwrap_or("?"));
        report.line(format!(
            "note: the agent's base DNs, scope, filter or attributes for {section} differ from those of the import before"
        ));
    }
    some(result, "unknown_switch_samples", "unknown_switches", report, |sample| {
        format!("unknown whether enabled: {} cannot be read", value(sample))
    });
    let Some(attribute) = result["unreadable_switch"].as_str() else { return };
    report.line(format!(
        "unknown: {} cannot be read; such users keep their last known state, and new ones are inactive. Let the bind \
         account read it.",
        line(attribute)
    ));
}

fn people(result: &Value, report: &mut Report) {
    for (samples, count, what) in [
        ("became_active_samples", "became_active", "now active"),
        ("became_inactive_samples", "became_inactive", "now inactive"),
        ("deactivated_samples", "deactivated", "left, and is inactive"),
        ("renamed_samples", "renamed", "has another user name"),
        ("taken_over_samples", "taken_over", "made anew"),
    ] {
        some(result, samples, count, report, |sample| {
            let name = sample["display_name"].as_str().map(|name| format!(" ({})", line(name))).unwrap_or_default();
            format!("{what}: {}{name}", text(sample, "dn"))
        });
    }
    some(result, "conflict_samples", "conflicts", report, |sample| {
        let [name, dn] = ["user_name", "dn"].map(|key| text(sample, key));
        let decision = match sample["holder"].as_str() {
            Some("gone") => "\n          decide with `postern conflicts link` or `postern conflicts create-user`",
            Some("organization") => "\n          decide with `postern conflicts link` or `postern conflicts ignore`",
            _ => "",
        };
        if sample["holder"] == "nobody" {
            return format!(
                "conflict: {name} of {dn} was another user's, who has lost the name; the next import links it"
            );
        }
        format!("conflict: {name} of {dn} is held by {}{decision}", line(&holder(sample)))
    });
    some(result, "missing_disabled_samples", "missing_disabled", report, |sample| {
        format!("left, and is disabled: {}", value(sample))
    });
    some(result, "joined_samples", "joined", report, |sample| {
        let [name, dn] = ["user_name", "dn"].map(|key| text(sample, key));
        let also = match sample["directories"].as_str() {
            Some(others) if !others.is_empty() => format!(", who has one in {} too", line(others)),
            _ if sample["own"] == true => ", whom the organization made".to_owned(),
            _ => String::new(),
        };
        format!("same person: {dn} is an account of the user {name}{also}")
    });
    // A sample is an external id, for which several entries may be left out.
    some(result, "duplicate_samples", "shared_external_ids", report, |sample| {
        let dns: Vec<&str> = sample["dns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (id, dns) = (text(sample, "external_id"), line(&dns.join(" and ")));
        format!("one external id, {id}: {dns}. If one entry has moved, the next import settles it")
    });
    some(result, "without_login_samples", "without_login", report, |sample| {
        let keeps =
            sample["keeps"].as_str().map_or_else(|| "no user".to_owned(), |name| format!("still {}", line(name)));
        format!("without a login: {} ({keeps})", text(sample, "dn"))
    });
    some(result, "members_unresolved_samples", "members_unresolved", report, |sample| {
        let (member, group) = (text(sample, "member"), text(sample, "group"));
        let dns: Vec<&str> = sample["shared_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if dns.is_empty() {
            return format!("points to no imported entry: {member} in {group}");
        }
        let dns = line(&dns.join(" and "));
        format!("member of {group} is nobody: {member} could be {dns}, whose names are compared as equal; rename one")
    });
}

/// Accounts that could not be seen. Returns the containers that are not found.
fn not_visible(result: &Value, report: &mut Report) -> Vec<String> {
    some(result, "not_visible_samples", "not_visible", report, |sample| {
        let dn = text(sample, "dn");
        if sample["renamed_to"].is_string() {
            let (container, now) = (text(sample, "container"), text(sample, "renamed_to"));
            return format!("not visible: {dn}: the container {container} seems to be renamed to {now}");
        }
        format!("not visible: {dn}: {}", why_not_visible(sample["reason"].as_str().unwrap_or_default()))
    });
    let samples = result["not_visible_samples"].as_array().into_iter().flatten();
    let mut containers: Vec<String> = samples.filter_map(|sample| Some(line(sample["container"].as_str()?))).collect();
    containers.sort_unstable();
    containers.dedup();
    containers
}

/// Where `--gone` had no effect, and where it would help.
fn gone(directory: &str, without: &[String], result: &Value, report: &mut Report) {
    let named = result["gone_unused"].as_array().map(Vec::as_slice).unwrap_or_default();
    for container in named {
        report.line(format!(
            "--gone {}: no account was marked missing by it. Either no missing account was in that container, or the \
             directory still shows the container",
            value(container)
        ));
    }
    if without.is_empty() {
        return;
    }
    let options: Vec<String> = without.iter().map(|container| format!("--gone {}", quoted(container))).collect();
    let directory = quoted(&line(directory));
    report.line("If such a container was deleted, or the entries that are not found in it were, say so:");
    report.line(format!("  postern jobs start import --directory {directory} {}", options.join(" ")));
}

/// A word quoted for a shell.
fn quoted(word: &str) -> String {
    if word.chars().all(|char| char.is_ascii_alphanumeric() || "-_=,.".contains(char)) && !word.is_empty() {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn entries(result: &Value, report: &mut Report) {
    some(result, "unusable_samples", "unusable", report, |sample| format!("not usable: {}", value(sample)));
    some(result, "rule_failure_samples", "rule_failures", report, |sample| {
        let [rule, dn, error, value] = ["rule", "dn", "error", "value"].map(|key| text(sample, key));
        format!("rule {rule} failed on {dn}: {error} (it read {value})")
    });
    some(result, "left_out_samples", "values_left_out", report, |sample| format!("left out: {}", value(sample)));
    some(result, "remark_samples", "remarks", report, |sample| format!("remark: {}", value(sample)));
}

/// Why an entry's presence is unknown, and what to do.
fn why_not_visible(reason: &str) -> &'static str {
    match reason {
        "no_external_id" => "an entry of this name is there; let the agent's account read its external id",
        "referral" => "a referral stands in its place",
        "container_unreadable" => "its container is there; let the agent's account read it",
        "container_not_found" => {
            "its container is not found; let the agent's account read it, or restore it if it was deleted with its people"
        }
        "hidden_children" => "its container has entries that the agent's account cannot see; let it read them",
        "unavailable" => "this part of the directory does not answer",
        _ => "the directory does not say",
    }
}

#[cfg(test)]
mod tests;

//! What a directory gets, for people; and what saving it does.

use postern_engine::provisioning::settings::{Assignment, Leaving, Limit, Mode, Settings, Switches, Thresholds};
use uuid::Uuid;

use super::super::super::api::provisioning::{ProvisioningRequest, ProvisioningView};
use super::super::error::Error;
use super::super::leaving;
use super::super::screen::{Screen, note, text_or, word};

pub(super) fn show(view: &ProvisioningView, screen: &mut Screen) -> Result<(), Error> {
    screen.fields(view, &fields(view))
}

/// What saved settings have changed, one line each.
pub(super) fn changed(before: &ProvisioningView, after: &ProvisioningView) -> Vec<String> {
    let both = fields(before).into_iter().zip(fields(after)).take_while(|((name, _), _)| *name != COUNTS_FROM);
    let differ = both.filter(|((_, before), (_, after))| before != after);
    differ.map(|((name, before), (_, after))| format!("changed: {name}: {before} -> {after}")).collect()
}

/// The first field that is no setting.
const COUNTS_FROM: &str = "accounts";

fn fields(view: &ProvisioningView) -> Vec<(&'static str, String)> {
    let Settings { switches, assignment, groups, existing, both_changed, user_container, thresholds, .. } =
        &view.settings;
    let imports = match (view.settings.imports.users, view.settings.imports.groups) {
        (true, true) => "users and groups",
        (true, false) => "users only",
        (false, true) => "groups only",
        (false, false) => "nobody",
    };
    let (limits, allowed) = (limits(thresholds), allowed(*switches));
    let assigned = match assignment {
        Assignment::Nobody => "nobody".to_owned(),
        Assignment::All => "all users".to_owned(),
        Assignment::Groups { groups } => format!("members of {}", names(view, groups)),
        Assignment::Condition { expression } => format!("users for whom {expression}"),
    };
    let state = match (view.revision, view.paused) {
        (0, _) => "off",
        (_, true) => "paused",
        (_, false) if view.settings.mode == Mode::Report => "on; only plans are carried out",
        (_, false) => "on",
    };
    vec![
        ("directory", view.directory.clone()),
        ("state", state.to_owned()),
        ("allowed", allowed),
        ("accounts for", assigned),
        ("groups", if groups.is_empty() { "none".to_owned() } else { names(view, groups) }),
        ("existing entries", word(existing)),
        ("leaving users", leaving_users(&view.settings)),
        ("both ends changed", word(both_changed)),
        ("container", text_or(user_container.as_deref(), "the site decides")),
        ("imports make", imports.to_owned()),
        ("most in an hour", limits),
        ("most in a minute", format!("{} operations", view.settings.rate())),
        ("accounts", view.accounts.to_string()),
        ("held", view.held.to_string()),
        ("waiting after failures", waiting(view)),
        ("agent", if view.agent_connected { "connected" } else { "none is connected; everything waits" }.to_owned()),
        ("changed by", text_or(view.updated_by.as_deref(), "-")),
    ]
}

/// What becomes of accounts, and what of it is not allowed.
fn leaving_users(settings: &Settings) -> String {
    let (wanted, allowed) = (leaving::in_words(&settings.leaving_then), leaving::in_words(&settings.also_becomes()));
    let also =
        wanted.into_iter().map(|word| if allowed.contains(&word) { word } else { format!("{word} (not allowed)") });
    std::iter::once(word(&settings.leaving)).chain(also).collect::<Vec<_>>().join(", ")
}

fn limits(thresholds: &Thresholds) -> String {
    let limit = |limit: Limit| match limit.percent {
        0 => limit.number.to_string(),
        percent => format!("{} (or {percent} %, if that is more)", limit.number),
    };
    format!(
        "{} creates, {} updates, {} disables, {} enables, {} deletes, {} members removed",
        limit(thresholds.creates),
        limit(thresholds.updates),
        limit(thresholds.disables),
        limit(thresholds.enables),
        limit(thresholds.deletes),
        limit(thresholds.member_removals),
    )
}

fn allowed(switches: Switches) -> String {
    let allowed = [
        ("create-users", switches.create_users),
        ("edit-users", switches.edit_users),
        ("delete-users", switches.delete_users),
        ("enable-disable-users", switches.enable_disable_users),
        ("sync-passwords", switches.sync_passwords),
        ("create-groups", switches.create_groups),
        ("edit-groups", switches.edit_groups),
        ("delete-groups", switches.delete_groups),
        ("sync-members", switches.sync_members),
        ("write-through", switches.write_through),
    ];
    let allowed: Vec<&str> = allowed.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
}

/// Groups by their names; one that was deleted by its id.
fn names(view: &ProvisioningView, groups: &[Uuid]) -> String {
    let name = |id: &Uuid| view.group_names.get(id).cloned().unwrap_or_else(|| format!("{id} (deleted)"));
    groups.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn waiting(view: &ProvisioningView) -> String {
    match (view.failing, &view.most_fail_because) {
        (0, _) => "0".to_owned(),
        (count, None) => count.to_string(),
        (count, Some(why)) => {
            format!("{count}; mostly: {why} (postern provisioning failures {} lists them)", view.directory)
        }
    }
}

/// What to ask before these settings are saved. `None`: nobody can lose an account by them.
pub(super) fn question(before: &ProvisioningView, request: &ProvisioningRequest) -> Option<String> {
    unassigned(before, request).or_else(|| sooner(before, &request.settings))
}

/// Accounts that were left behind may be deleted sooner.
fn sooner(before: &ProvisioningView, settings: &Settings) -> Option<String> {
    let days = |settings: &Settings| settings.also_becomes().delete_after_days;
    let now = days(settings)?;
    let sooner = before.accounts > 0 && days(&before.settings).is_none_or(|before| now < before);
    sooner.then(|| {
        format!(
            "Accounts of {} that users lost {now} days ago or earlier are deleted: {} of them within an hour, and what is \
             beyond waits for approval.",
            before.directory,
            most(settings.thresholds.deletes, before.accounts)
        )
    })
}

/// How many of so many accounts change within an hour.
fn most(limit: Limit, accounts: u64) -> u64 {
    u64::from(limit.number).max(accounts.saturating_mul(u64::from(limit.percent)) / 100)
}

fn unassigned(before: &ProvisioningView, request: &ProvisioningRequest) -> Option<String> {
    let Settings { assignment, thresholds, .. } = &request.settings;
    let (becomes, limit) = match request.settings.becomes() {
        Leaving::Delete => ("deleted", thresholds.deletes),
        Leaving::Disable => ("disabled", thresholds.disables),
        Leaving::Keep => return None,
    };
    let same = *assignment == before.settings.assignment && before.settings.becomes() == request.settings.becomes();
    if before.accounts == 0 || same || *assignment == Assignment::Nobody || *assignment == Assignment::All {
        return None;
    }
    let most = most(limit, before.accounts);
    let also = leaving::in_words(&request.settings.also_becomes());
    let becomes = std::iter::once(becomes.to_owned()).chain(also).collect::<Vec<_>>().join(", ");
    Some(format!(
        "{} has {} accounts that provisioning has made. Those of users who are not assigned by the new settings are \
         {becomes}: about {most} of them within an hour, and what is beyond waits for approval.",
        before.directory, before.accounts
    ))
}

/// What happens now that settings are saved, and what stands in the way.
pub(super) fn what_follows(view: &ProvisioningView, screen: &mut Screen) -> Result<(), Error> {
    if !view.agent_connected {
        note(format!("warning: no agent of {} is connected; everything waits until one is", view.directory));
    }
    if let Some(why) = view.most_fail_because.as_ref().filter(|_| view.failing > 0) {
        note(format!("warning: users and groups that failed before: {}, mostly because {why}", view.failing));
    }
    if screen.is_json() || view.paused {
        return Ok(());
    }
    if view.settings.mode == Mode::Report {
        return screen.line(format!(
            "Nothing is sent to {0} but passwords and plans that somebody applies: postern provisioning plan {0} shows \
             what differs",
            view.directory
        ));
    }
    screen.line(format!(
        "All users and groups are compared with {0} now. What differs is carried out as far as it is allowed: postern \
         provisioning report --target {0}",
        view.directory
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn view(settings: &Value, accounts: u64) -> ProvisioningView {
        ProvisioningView {
            directory: "corp".to_owned(),
            settings: serde_json::from_value(settings.clone()).unwrap(),
            paused: false,
            held: 0,
            accounts,
            failing: 0,
            most_fail_because: None,
            agent_connected: true,
            group_names: BTreeMap::new(),
            revision: 1,
            updated_at: None,
            updated_by: None,
        }
    }

    #[test]
    fn what_settings_have_changed_is_said() {
        let before = view(&json!({ "switches": { "create_users": true } }), 1);
        let after = view(&json!({ "switches": { "create_users": true, "write_through": true } }), 2);
        assert_eq!(changed(&before, &after), ["changed: allowed: create-users -> create-users, write-through"]);
        assert!(changed(&after, &after).is_empty());
    }

    #[test]
    fn who_may_lose_accounts_is_said_before() {
        let switches = json!({ "enable_disable_users": true });
        let all = json!({ "switches": switches, "assignment": { "kind": "all" } });
        let some = json!({ "switches": switches, "assignment": { "kind": "condition", "expression": "active" } });
        let asked = |before: &Value, accounts, wanted: &Value| {
            let settings = serde_json::from_value(wanted.clone()).unwrap();
            question(&view(before, accounts), &ProvisioningRequest { settings, paused: false })
        };
        let question = asked(&all, 1_000, &some).unwrap();
        assert!(question.contains("1000 accounts") && question.contains("disabled: about 20 of them"), "{question}");
        assert_eq!(asked(&all, 0, &some), None, "there is nobody");
        assert_eq!(asked(&some, 1_000, &some), None, "nothing changes");
        assert_eq!(asked(&some, 1_000, &all), None, "everybody is assigned");
        let kept = json!({ "assignment": { "kind": "condition", "expression": "active" }, "leaving": "keep" });
        assert_eq!(asked(&all, 1_000, &kept), None);
        // Who has left already may lose the account now.
        let switches = json!({ "delete_users": true });
        let after = |days: u32| json!({ "switches": switches, "leaving_then": { "delete_after_days": days } });
        let question = asked(&all, 1_000, &after(30)).unwrap();
        assert!(question.contains("30 days ago or earlier are deleted: 5 of them"), "{question}");
        assert!(asked(&after(30), 1_000, &after(29)).is_some() && asked(&after(30), 1_000, &after(31)).is_none());
        let forbidden = json!({ "leaving_then": { "delete_after_days": 30 } });
        assert_eq!(asked(&all, 1_000, &forbidden), None);
        let shown = leaving_users(&serde_json::from_value(forbidden).unwrap());
        assert_eq!(shown, "disable, deleted 30 days later (not allowed)");
    }
}

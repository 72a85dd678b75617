//! What stands in the log, what is counted, and what happens if neither can be kept.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use postern_directory::DirectoryConfig;
use postern_runtime::clock::ManualClock;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::command::CommandId;
use crate::served::Phase;
use crate::served::write::{Change, Create, Existing, Facts, NewPassword, Subject, Written};

const LIMITED: &str = r#"
name = "corp"
urls = ["ldaps://ldap.example"]
[users]
base_dns = ["ou=people,dc=example"]
unique_attribute = "uid"
attributes = ["uid"]
[write]
[policy]
read_only = false
operations = ["create", "update", "delete", "disable", "set_password"]
writable_containers = ["ou=people,dc=example"]
max_deletes_per_hour = 2
"#;
/// The limits beside that of deletions.
const MORE_LIMITS: &str = "max_disables_per_hour = 3\nmax_password_sets_per_minute = 4\n";

struct Place {
    folder: tempfile::TempDir,
    rules: Arc<Rules>,
    records: Arc<Records>,
    clock: ManualClock,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    /// With more lines of the policy.
    fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let records = Arc::new(Records::new(folder.path(), clock.shared()));
        records.prepare_limits();
        clock.advance(Duration::from_secs(3_601));
        let config: DirectoryConfig = toml::from_str(&format!("{LIMITED}{lines}")).unwrap();
        Self { folder, rules: Arc::new(Rules::new(&config)), records, clock }
    }

    /// The agent starts anew: it knows what its folder says.
    fn restarted(self) -> Self {
        let records = Arc::new(Records::new(self.folder.path(), self.clock.shared()));
        records.prepare_limits();
        Self { records, ..self }
    }

    /// How many of these the site permits, and the rule that refuses the last.
    fn flood(&self, change: &Change, times: usize) -> (usize, Option<String>) {
        let answers = (0..times).map(|_| {
            let veto = self.veto(change.clone());
            let (kind, sets_password) = kind_of(change);
            veto.permit(&Intent { sets_password, ..intent(kind, &Dn::parse(ANNA).unwrap(), &Facts::default()) })
        });
        let answers: Vec<_> = answers.collect();
        let rule = answers.last().and_then(|last| last.as_ref().err()).inspect(|denied| assert!(denied.for_now));
        (answers.iter().filter(|answer| answer.is_ok()).count(), rule.map(|denied| denied.rule.clone()))
    }

    fn veto(&self, change: Change) -> Veto {
        let key = Key { id: CommandId(Uuid::from_u128(7)), generation: 3 };
        let subject = Subject { external_id: Some("id-1".into()), dn: None };
        let operation = Operation { phase: Phase::Users, subject, change };
        Veto::new((Arc::clone(&self.rules), Some(Arc::clone(&self.records))), key, "corp", &operation)
    }

    fn log(&self) -> Vec<Value> {
        lines(&self.folder.path().join("audit.jsonl"))
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ask(veto: &Veto, kind: Kind, dn: &str) -> Result<(), Denied> {
    veto.permit(&intent(kind, &Dn::parse(dn).unwrap(), &Facts::default()))
}

fn intent<'a>(kind: Kind, dn: &'a Dn, facts: &'a Facts) -> Intent<'a> {
    let attributes = vec![Written { description: "mail".to_owned(), names: vec!["mail".to_owned()] }];
    Intent {
        kind,
        phase: Phase::Users,
        external_id: Some("id-1"),
        dn,
        destination: None,
        attributes: if kind == Kind::Update { attributes } else { Vec::new() },
        groups: Vec::new(),
        members: Vec::new(),
        members_group: None,
        sets_password: kind == Kind::SetPassword,
        facts,
        again: false,
    }
}

const ANNA: &str = "uid=anna,ou=people,dc=example";

#[test]
fn an_executed_operation_stands_in_the_log_before_and_after() {
    let place = Place::new();
    let veto = place.veto(Change::Update(Vec::new()));
    veto.beforehand().unwrap();
    ask(&veto, Kind::Update, ANNA).unwrap();
    let before = place.log();
    assert_eq!((before.len(), &before[0]["outcome"]), (1, &Value::from("permitted")), "{before:?}");
    // Looked at again, because somebody else was quicker.
    ask(&veto, Kind::Update, ANNA).unwrap();
    let failure = Failure { ldap_result_code: Some(50), ..Failure::new(crate::failure::Class::Directory, "no") };
    veto.ended(&Err(failure));
    drop(veto);
    let log = place.log();
    assert_eq!(log.len(), 2, "{log:?}");
    let line = &log[1];
    assert_eq!(line["operation"], Uuid::from_u128(7).to_string());
    assert_eq!((&line["kind"], &line["dn"]), (&Value::from("update"), &Value::from(ANNA)));
    assert_eq!((&line["outcome"], &line["code"]), (&Value::from("failed"), &Value::from("directory")));
    assert_eq!((&line["ldap_result_code"], &line["generation"]), (&Value::from(50), &Value::from(3)));
    assert_eq!((&line["attributes"], &line["external_id"]), (&Value::from(vec!["mail"]), &Value::from("id-1")));
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
}

#[test]
fn a_refusal_stands_in_the_log_once_with_its_rule() {
    let place = Place::new();
    let veto = place.veto(Change::Unlock);
    assert_eq!(veto.beforehand().unwrap_err().rule, "operations");
    drop(veto);
    let veto = place.veto(Change::Update(Vec::new()));
    let denied = ask(&veto, Kind::Update, "uid=anna,ou=other,dc=example").unwrap_err();
    assert_eq!(denied.rule, "writable_containers");
    veto.ended(&Err(Failure::new(Code::DeniedBySitePolicy, denied.to_string())));
    drop(veto);
    let log = place.log();
    let rules: Vec<_> = log.iter().map(|line| (line["outcome"].as_str(), line["rule"].as_str())).collect();
    let refused = Some("denied_by_site_policy");
    assert_eq!(rules, [(refused, Some("operations")), (refused, Some("writable_containers"))]);
    assert!(!denied.to_string().contains("ou="), "{denied}");
}

#[test]
fn an_operation_that_is_stopped_halfway_is_unknown_in_the_log() {
    let place = Place::new();
    let veto = place.veto(Change::Delete);
    ask(&veto, Kind::Delete, ANNA).unwrap();
    drop(veto);
    drop(place.veto(Change::Delete));
    let outcomes: Vec<_> = place.log().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["permitted", "unknown"]);
}

#[test]
fn a_flood_of_deletions_ends_at_the_limit_and_a_repetition_counts_once() {
    let place = Place::new();
    let delete = || {
        let veto = place.veto(Change::Delete);
        let first = ask(&veto, Kind::Delete, ANNA);
        first.and_then(|()| ask(&veto, Kind::Delete, ANNA))
    };
    let done = (0..1_000).filter(|_| delete().is_ok()).count();
    assert_eq!(done, 2);
    let denied = delete().unwrap_err();
    assert_eq!((denied.rule.as_str(), denied.for_now), ("max_deletes_per_hour", true));
    // A reload reads the rules anew, and keeps the records.
    let reloaded = Place { rules: Arc::new(Rules::clone(&place.rules)), ..place };
    let veto = reloaded.veto(Change::Delete);
    assert_eq!(ask(&veto, Kind::Delete, ANNA).unwrap_err().rule, "max_deletes_per_hour");
    reloaded.clock.advance(Duration::from_secs(3_661));
    assert!(ask(&reloaded.veto(Change::Delete), Kind::Delete, ANNA).is_ok());
    let place = reloaded;
    let disable = place.veto(Change::Disable);
    assert!(ask(&disable, Kind::Disable, ANNA).is_ok(), "it has no limit here");
}

#[test]
fn so_many_users_are_disabled_within_an_hour_and_a_restart_gives_none_back() {
    let place = Place::with(MORE_LIMITS);
    let rule = || Some("max_disables_per_hour".to_owned());
    assert_eq!(place.flood(&Change::Disable, 2), (2, None));
    let place = place.restarted();
    assert_eq!(place.flood(&Change::Disable, 50), (1, rule()), "two of three were used up before the restart");
    place.clock.advance(Duration::from_mins(59));
    let place = place.restarted();
    assert_eq!(place.flood(&Change::Disable, 5), (0, rule()), "the hour is not over");
    // Nothing else is used up by it.
    assert_eq!(place.flood(&Change::Delete, 5).0, 2);
    assert_eq!(place.flood(&Change::SetPassword(password()), 5).0, 4);
    place.clock.advance(Duration::from_secs(121));
    assert_eq!(place.flood(&Change::Disable, 5), (3, rule()), "the hour is over");
}

#[test]
fn so_many_passwords_are_set_within_a_minute_those_of_new_users_with_them() {
    let place = Place::with(MORE_LIMITS);
    let rule = || Some("max_password_sets_per_minute".to_owned());
    let (set, with, without) =
        (Change::SetPassword(password()), Change::Create(new(Some(password()))), Change::Create(new(None)));
    assert_eq!((place.flood(&set, 1), place.flood(&with, 2)), ((1, None), (2, None)));
    let place = place.restarted();
    assert_eq!(place.flood(&set, 50), (1, rule()), "three of four were used up before the restart");
    assert_eq!(place.flood(&with, 5), (0, rule()), "a new user with a password counts as one");
    assert_eq!(place.flood(&without, 50), (50, None), "a new user without one does not");
    place.clock.advance(Duration::from_secs(58));
    let place = place.restarted();
    assert_eq!((place.flood(&set, 5), place.flood(&with, 5)), ((0, rule()), (0, rule())), "the minute is not over");
    place.clock.advance(Duration::from_secs(4));
    assert_eq!(place.flood(&with, 9), (4, rule()), "the minute is over");
}

fn password() -> NewPassword {
    NewPassword { password: "secret".to_owned().into(), must_change: false }
}

fn new(password: Option<NewPassword>) -> Create {
    let (attributes, choices, members) = (Vec::new(), Vec::new(), Vec::new());
    let (sent_before, others) = (false, Vec::new());
    Create {
        container: None,
        attributes,
        choices,
        sent_before,
        others,
        enabled: true,
        password,
        members,
        existing: Existing::Conflict,
    }
}

#[test]
fn without_a_log_nothing_is_permitted() {
    let place = Place::new();
    let path = place.folder.path().join("audit.jsonl");
    std::fs::create_dir(&path).unwrap();
    let veto = place.veto(Change::Update(Vec::new()));
    let denied = ask(&veto, Kind::Update, ANNA).unwrap_err();
    assert_eq!((denied.rule.as_str(), denied.for_now), (AUDIT_LOG, true));
    std::fs::remove_dir(&path).unwrap();
    assert!(ask(&place.veto(Change::Update(Vec::new())), Kind::Update, ANNA).is_ok());
    let key = Key { id: CommandId(Uuid::nil()), generation: 0 };
    let operation = Operation { phase: Phase::Users, subject: Subject::default(), change: Change::Delete };
    let nowhere = Veto::new((Arc::clone(&place.rules), None), key, "corp", &operation);
    assert_eq!(ask(&nowhere, Kind::Delete, ANNA).unwrap_err().rule, AUDIT_LOG);
}

#[test]
fn an_adopted_entry_stands_in_the_log_as_it_was_found() {
    use crate::served::write::{Done, Effect};
    use crate::served::{Entry, Switch};

    let boss = "uid=boss,ou=vip,dc=example";
    let place = Place::new();
    let veto = place.veto(Change::Update(Vec::new()));
    ask(&veto, Kind::Update, "uid=boss,ou=people,dc=example").unwrap();
    let entry = Entry {
        external_id: "id-boss".into(),
        dn: boss.into(),
        unique_value: None,
        attributes: Vec::new(),
        members: Vec::new(),
        switch: Switch::On,
    };
    veto.ended(&Ok(Done {
        effect: Effect::Adopted,
        entry: Some(entry),
        in_scope: true,
        kept: Vec::new(),
        overwritten: Vec::new(),
        refused: Vec::new(),
        unknown_members: Vec::new(),
        refused_members: Vec::new(),
        members_added: 0,
        members_removed: 0,
    }));
    drop(veto);
    let log = place.log();
    let last = log.last().unwrap();
    assert_eq!((&last["outcome"], &last["effect"]), (&Value::from("done"), &Value::from("adopted")), "{last}");
    assert_eq!((&last["dn"], &last["external_id"]), (&Value::from(boss), &Value::from("id-boss")), "{last}");
    assert!(last.get("attributes").is_none(), "nothing was written: {last}");
}

//! The command line as a whole: its reference, and commands against a served API.

mod users;

use std::io::Write;
use std::sync::{Arc, Mutex};

use clap::FromArgMatches as _;
use postern_runtime::clock::SystemClock;
use postern_runtime::tls;
use serde_json::Value;

use super::Cli;
use super::error::Error;
use crate::api::jobs::JobView;
use crate::api::tests::{Inhabited, Site};

/// A job as the API returns it.
pub(super) fn sample_job() -> JobView {
    serde_json::from_value(serde_json::json!({
        "id": "0193541c-0000-7000-8000-000000000001", "kind": "import",
        "directory": {"id": "0193541c-0000-7000-8000-000000000002", "name": "corp"},
        "state": "running", "input": {},
        "progress": {"entries_read": 500, "pages_read": 1, "rate_per_second": 123.5, "phase": "users"},
        "result": null, "error": null, "hold": null, "message": null, "cancel_requested": false, "attempt": 1,
        "created_by": "first owner", "decided_by": null, "decision_reason": null, "created_at": "2026-11-22T22:00:00Z", "started_at": null,
        "finished_at": null, "deadline": "2026-11-23T22:00:00Z"
    }))
    .unwrap()
}

/// Output that the test can read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn run(arguments: &[&str]) -> (String, Result<(), Error>) {
    let matches = super::command().try_get_matches_from([&["postern"], arguments].concat()).unwrap();
    let cli = Cli::from_arg_matches(&matches).unwrap();
    let paper = Paper::default();
    let result = super::run(&cli.global, cli.command, Box::new(paper.clone())).await;
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    (text, result)
}

/// A control plane without agents, on a port of its own.
struct Served {
    url: String,
    token: String,
    home: Inhabited,
    organization: postern_store::OrganizationId,
    site: Site,
}

impl Served {
    async fn new() -> Self {
        tls::install_crypto_provider();
        let site = Site::with_clock(SystemClock::shared()).await;
        let acme = site.organization("acme").await;
        let home = site.inhabit(acme.id).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = site.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, token: acme.owner, home, organization: acme.id, site }
    }

    async fn try_run(&self, arguments: &[&str]) -> (String, Result<(), Error>) {
        run(&[arguments, &["--url", &self.url, "--token", &self.token]].concat()).await
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let (text, result) = self.try_run(arguments).await;
        result.unwrap();
        text
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--json"]].concat()).await).unwrap()
    }
}

#[test]
fn the_arguments_fit_together() {
    super::command().debug_assert();
}

#[test]
fn the_reference_is_as_reviewed() {
    insta::assert_snapshot!(super::docs::cli_reference(super::command()));
}

#[tokio::test]
async fn secrets_stand_alone_on_the_last_line() {
    let served = Served::new().await;
    let enrollment = served.run(&["enrollment-tokens", "create", "--directory", "corp", "--expires-in", "2h"]).await;
    assert!(enrollment.lines().last().unwrap().starts_with("postern1."));
    let token = served.run(&["tokens", "create", "ci", "--role", "auditor"]).await;
    assert!(token.lines().last().unwrap().starts_with("pst_"));
    assert!(served.run(&["tokens", "list"]).await.contains("auditor"));
}

#[tokio::test]
async fn every_list_is_a_table_for_people_and_json_for_scripts() {
    let served = Served::new().await;
    let table = [
        (vec!["agents", "list"], "site-1"),
        (vec!["directories", "list"], "corp"),
        (vec!["users", "list", "anna"], "anna@example.com"),
        (vec!["groups", "list"], "staff"),
        (vec!["accounts", "list", "--directory", "corp", "--kind", "user"], "uid=anna,ou=people"),
        (vec!["tokens", "list"], "operator"),
        (vec!["enrollment-tokens", "list"], "new names only"),
    ];
    for (arguments, shown) in table {
        let text = served.run(&arguments).await;
        assert!(text.contains(shown), "{arguments:?}: {text}");
        let json = served.json(&arguments).await;
        assert!(json["items"].to_string().contains(shown) || shown == "new names only", "{arguments:?}: {json}");
    }
    assert_eq!(served.run(&["jobs", "list"]).await, "(none)\n");
}

#[tokio::test]
async fn single_things_are_shown_with_all_that_belongs_to_them() {
    let served = Served::new().await;
    let user = served.run(&["users", "show", "Anna"]).await;
    assert!(user.contains("anna@example.com") && user.contains("uid=anna,ou=people") && user.contains("(binary) /9g="));
    assert!(served.run(&["groups", "show", &served.home.group.to_string()]).await.contains("cn=staff,ou=groups"));
    for name in [served.home.group.to_string().as_str(), "Staff"] {
        assert_eq!(served.json(&["groups", "show", name]).await["id"], served.home.group.to_string());
        assert_eq!(served.run(&["groups", "members", name]).await, "(none)\n");
    }
    let (_, no_group) = served.try_run(&["groups", "members", "sta"]).await;
    let no_group = no_group.unwrap_err().explain();
    assert!(no_group.contains("There is no group \"sta\"") && no_group.contains("Did you mean staff?"), "{no_group}");
    assert!(served.run(&["accounts", "show", &served.home.account.to_string()]).await.contains("Anna"));
    assert!(served.run(&["agents", "show", &served.home.agent.to_string()]).await.contains("corp (openldap)"));
    let (_, nobody) = served.try_run(&["users", "show", "bert"]).await;
    let nobody = nobody.unwrap_err().explain();
    assert!(nobody.contains("There is no user \"bert\"") && nobody.contains("postern users list"), "{nobody}");
}

#[tokio::test]
async fn directories_are_changed_and_deleted() {
    let served = Served::new().await;
    assert!(served.run(&["directories", "rename", "corp", "Headquarters"]).await.contains("Headquarters"));
    assert!(served.run(&["directories", "threshold", "corp", "--percent", "25"]).await.contains("above 25 %"));
    assert!(served.run(&["directories", "disable", "corp"]).await.contains("disabled"));
    let (_, refused) = served.try_run(&["jobs", "start", "import", "--directory", "corp"]).await;
    let text = refused.unwrap_err().explain();
    assert!(text.contains("is disabled") && text.contains("postern directories enable corp"), "{text}");
    assert_eq!(served.json(&["directories", "enable", "corp"]).await["disabled"], false);
    let (_, asked) = served.try_run(&["directories", "delete", "corp"]).await;
    let asked = asked.unwrap_err();
    assert_eq!(asked.exit_code(), 2);
    assert!(asked.explain().contains("2 accounts stay") && asked.explain().contains("--yes"), "{}", asked.explain());
    served.run(&["directories", "delete", "corp", "--yes"]).await;
    assert_eq!(served.run(&["directories", "list"]).await, "(none)\n");
}

#[tokio::test]
async fn schedules_are_created_changed_paused_and_deleted() {
    let served = Served::new().await;
    let common = ["schedules", "create", "nightly", "--job", "import", "--directory", "corp"];
    let weekly = ["--weekly", "monday,Friday", "--at", "02:30", "--time-zone", "Europe/Berlin", "--jitter", "10m"];
    let shown = served.run(&[&common[..], &weekly, &["--missed", "run_once"]].concat()).await;
    for part in ["weekly on Monday, Friday at 02:30 (Europe/Berlin)", "up to 600 s", "run_once", "never"] {
        assert!(shown.contains(part), "no {part}: {shown}");
    }
    assert!(served.run(&["schedules", "list"]).await.contains("nightly"));
    let changed = served.json(&["schedules", "change", "nightly", "--cron", "*/15 6-20 * * MON-FRI"]).await;
    assert_eq!(
        (&changed["timing_text"], &changed["time_zone"]),
        (&"cron */15 6-20 * * MON-FRI".into(), &"Europe/Berlin".into())
    );
    assert!(served.run(&["schedules", "pause", "nightly"]).await.contains("none, it is paused"));
    assert!(served.run(&["schedules", "list"]).await.contains("paused"));
    assert_eq!(served.json(&["schedules", "resume", "nightly"]).await["next_runs"].as_array().unwrap().len(), 5);
    let (_, wrong) = served.try_run(&["schedules", "change", "nightly", "--time-zone", "Mars"]).await;
    let wrong = wrong.unwrap_err().explain();
    assert!(wrong.contains("time_zone") && wrong.contains("IANA name"), "{wrong}");
    let (_, unsaid) = served.try_run(&common).await;
    assert!(unsaid.unwrap_err().explain().contains("--hourly, --daily, --weekly or --cron"));
    let (_, asked) = served.try_run(&["schedules", "delete", "nightly"]).await;
    assert!(asked.unwrap_err().explain().contains("--yes"));
    served.run(&["schedules", "delete", "nightly", "--yes"]).await;
    assert_eq!(served.run(&["schedules", "list"]).await, "(none)\n");
    let (_, gone) = served.try_run(&["schedules", "show", "nightly"]).await;
    assert!(gone.unwrap_err().explain().contains("postern schedules list"));
}

#[tokio::test]
async fn mapping_rules_are_saved_from_a_file_and_brought_back() {
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    let path = file.to_str().unwrap();
    assert!(served.run(&["mapping", "show", "corp"]).await.contains("no rules are saved"));
    std::fs::write(&file, r#"{"rules": [{"target": "email", "expression": "lower(mial)"}]}"#).unwrap();
    let (_, refused) = served.try_run(&["mapping", "set", "corp", path]).await;
    let refused = refused.unwrap_err().explain();
    for says in ["No account has the attribute mial", "1 of 1 users would lose their email", "add --yes"] {
        assert!(refused.contains(says), "{refused}");
    }
    assert!(served.run(&["mapping", "show", "corp"]).await.contains("no rules are saved"));
    let save = async |rules: &str| {
        std::fs::write(&file, rules).unwrap();
        served.try_run(&["mapping", "set", "corp", path, "--yes"]).await
    };
    let (shown, saved) = save(r#"{"version": 0, "rules": [{"target": "email", "expression": "lower(mail)"}]}"#).await;
    saved.unwrap();
    assert!(shown.contains("version 1") && shown.contains("lower(mail)"), "{shown}");
    for (wrong, says) in [
        (r#"{"version": 0, "rules": []}"#, "version"),
        (r#"{"rules": [{"target": "email", "expression": "lower("}]}"#, "rules"),
        ("{", "rules.json"),
    ] {
        let refused = save(wrong).await.1.unwrap_err().explain();
        assert!(refused.contains(says), "{wrong}: {refused}");
    }
    save(r#"{"rules": []}"#).await.1.unwrap();
    assert!(served.run(&["mapping", "restore", "corp", "1", "-y"]).await.contains("lower(mail)"));
    assert_eq!(served.json(&["mapping", "versions", "corp"]).await["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_watched_job_that_is_canceled_ends_with_exit_code_1() {
    let served = Served::new().await;
    let job = served.json(&["jobs", "start", "import", "--directory", "corp"]).await;
    let id = job["id"].as_str().unwrap();
    let watch = ["jobs", "watch", id];
    let cancel = ["jobs", "cancel", id];
    let (watched, canceled) = tokio::join!(served.try_run(&watch), served.run(&cancel));
    assert!(canceled.contains("is now canceled"));
    let error = watched.1.unwrap_err();
    assert_eq!((error.exit_code(), error.explain()), (1, format!("the job {id} was canceled")));
    assert!(served.run(&["jobs", "show", id]).await.contains("canceled"));
}

#[tokio::test]
async fn a_revoked_token_and_a_wrong_address_have_plain_errors() {
    let served = Served::new().await;
    let (_, wrong) = run(&["agents", "list", "--url", &served.url, "--token", "pst_wrong"]).await;
    assert!(wrong.unwrap_err().explain().contains("unknown, expired or revoked"));
    let (_, nobody) = run(&["agents", "list", "--url", "http://127.0.0.1:9", "--token", "pst_x"]).await;
    let text = nobody.unwrap_err().explain();
    assert!(text.contains("is `postern serve` running there?"), "{text}");
    let (_, not_one) = run(&["agents", "list", "--url", "127.0.0.1", "--token", "pst_x"]).await;
    assert_eq!(not_one.unwrap_err().exit_code(), 64);
}

#[test]
fn help_shows_the_options_that_a_command_heeds() {
    let help = |path: &[&str]| {
        let mut command = super::command();
        command.build();
        let mut command = &mut command;
        for name in path {
            command = command.find_subcommand_mut(name).unwrap();
        }
        command.render_long_help().to_string()
    };
    for (path, url, json) in [
        (&["agents", "list"][..], true, true),
        (&["whoami"], true, true),
        (&["organizations", "list"], false, true),
        (&["serve"], false, false),
        (&["completions"], false, false),
    ] {
        let help = help(path);
        assert_eq!((help.contains("--url"), help.contains("--json")), (url, json), "{path:?}: {help}");
    }
}

#[tokio::test]
async fn a_name_that_means_several_things_is_refused_with_all_of_them() {
    let served = Served::new().await;
    for _ in 0..2 {
        served.run(&["tokens", "create", "first owner", "--role", "auditor"]).await;
    }
    let (_, refused) = served.try_run(&["tokens", "revoke", "first owner", "--yes"]).await;
    let refused = refused.unwrap_err().explain();
    assert!(refused.contains("Several tokens match") && refused.lines().count() == 4, "{refused}");
    let tokens = served.json(&["tokens", "list"]).await;
    assert!(tokens["items"].as_array().unwrap().iter().all(|token| token["revoked_at"].is_null()), "{tokens}");
    let id = refused.lines().last().unwrap().split_whitespace().next().unwrap().to_owned();
    served.run(&["tokens", "revoke", &id, "--yes"]).await;
    served.run(&["tokens", "revoke", "first owner", "--yes"]).await;
}

#[tokio::test]
async fn a_conflict_is_shown_before_it_is_decided_and_nothing_is_done_unasked() {
    let served = Served::new().await;
    let (site, home) = (&served.site, &served.home);
    let id = site.conflict(served.organization, home.directory, "uid=new,ou=people", "anna").await.to_string();
    for command in ["link", "create-user"] {
        let (_, unasked) = served.try_run(&["conflicts", command, "anna"]).await;
        let said = unasked.unwrap_err().explain();
        for part in ["uid=new,ou=people", "directory corp", "name anna", "uid=anna,ou=people", "--yes"] {
            assert!(said.contains(part), "{command}, no {part}: {said}");
        }
        // With `--yes` it reaches the server, which refuses because the holder still exists.
        let (_, refused) = served.try_run(&["conflicts", command, &id, "--yes"]).await;
        assert!(refused.unwrap_err().explain().contains("is there: uid=anna"), "{command}");
    }
}

#[tokio::test]
async fn allow_says_which_agent_it_allowed() {
    let served = Served::new().await;
    let said = served.run(&["agents", "allow", "site-1", "lab"]).await;
    assert!(said.contains("site-1") && said.contains(&served.home.agent.to_string()), "{said}");
}

#[test]
fn a_proposed_command_can_be_copied() {
    let exists = Error::OrganizationExists { name: "Corp & Sons".to_owned() };
    assert!(exists.explain().ends_with("`postern organizations create-token 'Corp & Sons'`"), "{}", exists.explain());
}

#[tokio::test]
async fn an_organization_comes_with_an_owner_token_on_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let (text, result) = run(&["organizations", "create", "acme", "--data-dir", data]).await;
    result.unwrap();
    assert!(text.lines().last().unwrap().starts_with("pst_"), "{text}");
    let (_, again) = run(&["organizations", "create", "acme", "--data-dir", data]).await;
    assert!(again.unwrap_err().explain().contains("organizations create-token acme"));
    let (another, result) = run(&["organizations", "create-token", "acme", "--data-dir", data]).await;
    result.unwrap();
    assert_ne!(another.lines().last(), text.lines().last());
    let (list, _) = run(&["organizations", "list", "--data-dir", data]).await;
    assert!(list.contains("acme"));
    let (_, nowhere) = run(&["organizations", "list", "--data-dir", "/nonexistent/postern"]).await;
    assert_eq!(nowhere.unwrap_err().exit_code(), 64);
}

#[tokio::test]
async fn a_misspelt_data_folder_makes_no_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let typo = folder.path().join("typo").join("data");
    let (_, refused) = run(&["organizations", "create", "acme", "--data-dir", typo.to_str().unwrap()]).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.exit_code(), 64);
    assert!(refused.explain().contains("start `postern serve --data-dir"), "{}", refused.explain());
    assert!(!folder.path().join("typo").exists());
    // Reading creates nothing, even if the folder exists.
    let (_, list) = run(&["organizations", "list", "--data-dir", folder.path().to_str().unwrap()]).await;
    assert_eq!(list.unwrap_err().exit_code(), 64);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn reference_documents_are_printed() {
    let (openapi, _) = run(&["docs", "openapi"]).await;
    assert_eq!(serde_json::from_str::<Value>(&openapi).unwrap()["info"]["title"], "Postern");
    assert!(run(&["docs", "config"]).await.0.contains("gateway_public_address"));
    assert!(run(&["docs", "cli"]).await.0.contains("## `postern jobs start import`"));
    assert!(run(&["completions", "bash"]).await.0.contains("postern"));
}

#[test]
fn a_container_that_is_no_dn_is_refused_with_the_name_of_the_option() {
    let arguments = ["postern", "jobs", "start", "import", "--directory", "corp", "--gone", "garbage"];
    let refused = super::command().try_get_matches_from(arguments).unwrap_err().to_string();
    assert!(refused.contains("--gone <DN>") && refused.contains("DNs of containers"), "{refused}");
}

//! `postern users` and `postern attributes` against a served API.

use std::path::PathBuf;

use serde_json::json;

use super::{Served, run};

/// A file for one test.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_file_that_needs_many_requests_is_imported_whole() {
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    // 700 lines of 300 bytes: more than one small body, and more than one request.
    let note = "x".repeat(250);
    let lines: String =
        (0..700).flat_map(|number| [format!("u{number},u{number}@example.org,"), format!("{note}\r\n")]).collect();
    let path = file(&folder, "big.csv", &format!("user_name,email,note\r\n{lines}U3,,\r\n"));
    let path = path.to_str().unwrap();
    let (dry, refused) = served.try_run(&["users", "import", path]).await;
    assert!(dry.contains("line 2: u0 would be created"), "{}", &dry[..200]);
    assert!(dry.contains("Would create 700, change 0, leave 0 unchanged, refuse 1. Nothing was written"));
    let refused = refused.unwrap_err();
    assert_eq!((refused.exit_code(), refused.explain()), (2, format!("1 line of {path} was refused")));
    let (text, _) = served.try_run(&["users", "import", path, "--apply"]).await;
    assert!(text.ends_with("700 created, 0 changed, 0 unchanged, 1 refused.\n"), "{text}");
    assert!(text.contains("line 702: U3 refused: line 5 has the same user name"), "{text}");
    let (again, _) = served.try_run(&["users", "import", path, "--apply", "--json"]).await;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["unchanged"], &again["last_line"]), (&json!(700), &json!(702)), "{again}");
    assert_eq!(again["lines"][0]["result"]["reason"], "line 5 has the same user name");
}

#[tokio::test]
async fn values_of_defined_attributes_are_given_on_the_command_line() {
    let served = Served::new().await;
    let define = async |name: &str, options: &[&str]| {
        served.run(&[&["attributes", "define", name, "--type"], options].concat()).await
    };
    define("badge", &["integer", "--required"]).await;
    define("remote", &["boolean"]).await;
    define("langs", &["string_list"]).await;
    let made = served.json(&["users", "create", "ada", "--attribute", "badge=42"]).await;
    assert_eq!(made["attributes"], json!({"badge": 42}));
    let values = ["--attribute", "badge=-7", "--attribute", "remote=true", "--attribute", "langs=de|en"];
    let changed = served.json(&[&["users", "change", "ada"][..], &values].concat()).await;
    assert_eq!(changed["attributes"], json!({"badge": -7, "remote": true, "langs": ["de", "en"]}));
}

#[tokio::test]
async fn contradictory_and_empty_changes_are_refused() {
    let served = Served::new().await;
    served.run(&["users", "create", "ada", "--email", "ada@example.org"]).await;
    for (options, says) in [
        (&["--remove", "email", "--email", "a@b.c"][..], "both given and removed"),
        (&["--remove", "attributes.title", "--attribute", "title=x"], "both given and removed"),
        (&["--attribute", "a=1", "--attribute", "a=2"], "given twice"),
        (&["--attribute", "email=x"], "fact about every user"),
        (&[], "nothing to change"),
    ] {
        let (_, refused) = served.try_run(&[&["users", "change", "ada"][..], options].concat()).await;
        let refused = refused.unwrap_err().explain();
        assert!(refused.contains(says), "{options:?}: {refused}");
    }
    let ada = served.json(&["users", "show", "ada"]).await;
    assert_eq!((&ada["email"], &ada["attributes"]), (&json!("ada@example.org"), &json!({})));
}

#[tokio::test]
async fn an_export_names_its_file_and_keeps_sensitive_values_back() {
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    served.run(&["attributes", "define", "salary", "--type", "integer", "--sensitive"]).await;
    served.run(&["users", "create", "ada", "--attribute", "salary=5000", "--attribute", "title=Dr."]).await;
    let export = async |options: &[&str]| served.run(&[&["users", "export"][..], options].concat()).await;
    let kept = export(&["--attributes", "title"]).await;
    assert!(kept.contains(",title\r\n") && kept.contains("Dr.") && !kept.contains("5000"), "{kept}");
    assert!(export(&["--with-sensitive"]).await.contains("5000"));
    let taken = file(&folder, "taken.csv", "mine");
    let taken = taken.to_str().unwrap();
    for (command, says) in [
        (&["users", "export", "--output", taken][..], "taken.csv: it exists already"),
        (&["audit", "export", "--output", taken], "taken.csv: it exists already"),
        (&["users", "export", "--output", "/nonexistent/x.csv"], "/nonexistent/x.csv: there is no such"),
        (&["users", "import", "/nonexistent/x.csv"], "/nonexistent/x.csv: there is no such"),
        (&["mapping", "set", "corp", "/nonexistent/x.json"], "/nonexistent/x.json: there is no such"),
        (&["users", "export", "--attributes", "salary"], "give --with-sensitive"),
    ] {
        let (_, refused) = served.try_run(command).await;
        let refused = refused.unwrap_err().explain();
        assert!(refused.contains(says) && !refused.contains("os error"), "{command:?}: {refused}");
    }
    assert_eq!(std::fs::read_to_string(taken).unwrap(), "mine");
    let wrong =
        super::super::command().try_get_matches_from(["postern", "users", "export", "--attributes", "bad name"]);
    assert!(wrong.unwrap_err().to_string().contains("a name is 1 to 64"));
}

#[tokio::test]
async fn an_import_without_a_control_plane_sends_nothing() {
    postern_runtime::tls::install_crypto_provider();
    let (_, refused) = run(&["users", "import", "x.csv", "--url", "http://127.0.0.1:9", "--token", "pst_x"]).await;
    assert!(refused.unwrap_err().explain().contains("is `postern serve` running there?"));
}

#[tokio::test]
async fn an_export_holds_no_formula_that_a_spreadsheet_would_run() {
    let served = Served::new().await;
    served.run(&["users", "create", "eve", "--display-name", "=HYPERLINK(\"http://evil.example\")"]).await;
    let text = served.run(&["users", "export"]).await;
    assert!(text.contains("\"'=HYPERLINK("), "{text}");
}

#[tokio::test]
async fn lists_are_narrowed_by_source_group_and_time() {
    let served = Served::new().await;
    for name in ["ada", "bo"] {
        served.run(&["users", "create", name]).await;
    }
    served.run(&["groups", "create", "Staff"]).await;
    served.run(&["groups", "add", "Staff", "bo"]).await;
    let names = async |options: &[&str]| -> Vec<String> {
        let found = served.json(&[&["users", "list"][..], options].concat()).await;
        let items = found.as_array().or_else(|| found["items"].as_array()).unwrap().clone();
        items.iter().map(|user| user["user_name"].as_str().unwrap().to_owned()).collect()
    };
    let own = names(&["--source", "organization"]).await;
    assert!(own.contains(&"ada".to_owned()) && own.contains(&"bo".to_owned()), "{own:?}");
    assert_eq!(names(&["--group", "Staff"]).await, ["bo"]);
    assert_eq!(names(&["--updated-after", "2001-01-01", "--group", "Staff"]).await, ["bo"]);
    assert!(names(&["--updated-after", "2999-01-01"]).await.is_empty());
    let (_, refused) = served.try_run(&["users", "list", "--source", "nowhere"]).await;
    let refused = refused.unwrap_err().explain();
    assert!(refused.contains("directory"), "{refused}");
}

#[tokio::test]
async fn two_users_become_one_when_the_question_is_answered() {
    let served = Served::new().await;
    for name in ["ada", "ada2"] {
        served.run(&["users", "create", name]).await;
    }
    let (_, asked) = served.try_run(&["users", "merge", "ada", "ada2"]).await;
    assert!(asked.is_err(), "nobody is there to answer");
    assert!(served.json(&["users", "show", "ada2"]).await["id"].is_string(), "nothing has happened");
    let text = served.run(&["users", "merge", "ada", "ada2", "--yes"]).await;
    assert!(text.contains("ada2 is merged into ada."), "{text}");
    let (_, gone) = served.try_run(&["users", "show", "ada2"]).await;
    assert!(gone.is_err());
    let unknown = "0193541c-0000-7000-8000-000000000009";
    let (_, refused) =
        served.try_run(&["users", "split", "ada", "--account", unknown, "--user-name", "x", "--yes"]).await;
    assert!(refused.is_err());
    let (_, none) = served.try_run(&["users", "show", "x"]).await;
    assert!(none.is_err(), "nobody was made");
}

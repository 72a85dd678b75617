//! The program itself, without a server: what it answers, and by which exit code a script knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

/// Runs `postern` for somebody without a configuration; the exit code, and what it printed.
fn postern(arguments: &[&str]) -> (Option<i32>, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    let output = command.args(arguments).env_clear().env("HOME", home.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_version_names_the_build() {
    let (code, said, _) = postern(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with(concat!("postern ", env!("CARGO_PKG_VERSION"), " (")), "{said}");
}

#[test]
fn without_a_token_it_says_how_to_get_one() {
    let (code, said, error) = postern(&["users", "list"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(error.contains("set POSTERN_TOKEN, or run `postern login"), "{error}");
}

#[test]
fn a_word_it_does_not_know_is_wrong_usage() {
    let (code, _, error) = postern(&["userz"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("'users'"), "{error}");
}

#[test]
fn a_database_address_it_does_not_understand_is_refused_with_the_forms_that_it_knows() {
    let (code, _, error) = postern(&["serve", "--database-url", "nonsense:x"]);
    assert_eq!(code, Some(64));
    assert!(error.contains("it must start with postgres:// or sqlite:"), "{error}");
}

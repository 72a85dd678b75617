//! What an administrator gets to read for each kind of mistake.

use std::path::PathBuf;

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    listen: Option<String>,
    limit: u16,
    nested: Nested,
    directory: Vec<Directory>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    proxy: Option<String>,
    enabled: bool,
    formats: Vec<Format>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Directory {
    name: String,
    #[serde(default)]
    bind_dn: Option<String>,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    users: Option<Users>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Users {
    base_dns: Vec<String>,
    #[serde(default)]
    filter: Option<String>,
}

const GOOD: &str = r#"
limit = 7
[nested]
enabled = true
[[directory]]
name = "one"
[[directory]]
name = "two"
bind_dn = "cn=reader"
"#;

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn fixture(text: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    std::fs::write(&path, text).unwrap();
    Fixture { path, _folder: folder }
}

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let fixture = fixture(text);
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let folder = fixture.path.parent().unwrap().display().to_string();
    load_with(Some(&fixture.path), "TEST", variables).map_err(|error| error.to_string().replace(&folder, ""))
}

#[test]
fn a_good_file_is_read_whole() {
    let settings = load_text(GOOD, &[]).unwrap();
    assert_eq!(settings.limit, 7);
    assert!(settings.nested.enabled);
    assert_eq!(settings.directory[1].bind_dn.as_deref(), Some("cn=reader"));
}

#[test]
fn variables_override_the_file_also_inside_arrays() {
    let variables = [
        ("TEST__LIMIT", "9"),
        ("TEST__NESTED__PROXY", "http://proxy:3128"),
        ("TEST__DIRECTORY__0__BIND_DN", "0123"),
        ("TEST__DIRECTORY__1__URLS", r#"["ldap://a", "ldap://b"]"#),
        ("TESTING__LIMIT", "1"),
        ("TEST_LIMIT", "1"),
    ];
    let settings = load_text(GOOD, &variables).unwrap();
    assert_eq!(settings.limit, 9);
    assert_eq!(settings.nested.proxy.as_deref(), Some("http://proxy:3128"));
    assert!(settings.nested.enabled, "the neighbours of an override stay");
    assert_eq!(settings.directory[0].bind_dn.as_deref(), Some("0123"), "text stays text");
    assert_eq!(settings.directory[1].urls, ["ldap://a", "ldap://b"]);
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_known_key() {
    let error = load_text("limit = 1\n[nested]\nenabled = true\nprozy = \"x\"\n", &[]).unwrap_err();
    assert_eq!(error, "/test.toml:4: unknown key `prozy`; did you mean `proxy`?");
}

#[test]
fn an_unknown_key_inside_an_array_of_tables_names_its_own_line() {
    let text = "[[directory]]\nname = \"a\"\n\n[[directory]]\nname = \"b\"\nbind_nd = \"x\"\n";
    assert_eq!(load_text(text, &[]).unwrap_err(), "/test.toml:6: unknown key `bind_nd`; did you mean `bind_dn`?");
}

#[test]
fn an_unknown_key_that_resembles_nothing_lists_what_is_known() {
    let error = load_text("[nested]\nxyz = 1\n", &[]).unwrap_err();
    assert!(error.starts_with("/test.toml:2: unknown key `xyz`; the keys here are `proxy`"), "{error}");
}

#[test]
fn an_unknown_variable_is_named() {
    let error = load_text("", &[("TEST__LIMITS", "1")]).unwrap_err();
    assert_eq!(error, "environment variable TEST__LIMITS: unknown key `limits`; did you mean `limit`?");
}

#[test]
fn a_wrong_type_names_its_line() {
    let error = load_text("\n\nlimit = \"many\"\n", &[]).unwrap_err();
    assert!(error.starts_with("/test.toml:3: limit: "), "{error}");
}

#[test]
fn a_wrong_value_is_refused_with_the_allowed_ones() {
    let told = "\"xml\" is not one of \"text\", \"json\"";
    let error = load_text("limit = 1\n[nested]\nformats = [\"json\", \"xml\"]\n", &[]).unwrap_err();
    assert_eq!(error, format!("/test.toml:3: formats: {told}"));
    let error = load_text("", &[("TEST__NESTED__FORMATS", "[\"xml\"]")]).unwrap_err();
    assert_eq!(error, format!("environment variable TEST__NESTED__FORMATS: formats: {told}"));
}

#[test]
fn a_missing_key_names_the_table_that_lacks_it() {
    let error = load_text("limit = 1\n\n[[directory]]\nbind_dn = \"x\"\n", &[]).unwrap_err();
    assert_eq!(error, "/test.toml:3: directory[0].name is missing");
    let second = "[[directory]]\nname = \"a\"\n\n[[directory]]\nbind_dn = \"x\"\n";
    assert_eq!(load_text(second, &[]).unwrap_err(), "/test.toml:4: directory[1].name is missing");
    let nested = "[[directory]]\nname = \"a\"\n\n[directory.users]\nfilter = \"x\"\n";
    assert_eq!(load_text(nested, &[]).unwrap_err(), "/test.toml:4: directory[0].users.base_dns is missing");
    let variable = load_text("", &[("TEST__DIRECTORY__0__BIND_DN", "x")]).unwrap_err();
    assert_eq!(variable, "/test.toml: directory[0].name is missing", "the variable is not to blame");
}

#[test]
fn broken_toml_names_its_line() {
    let error = load_text("limit = 1\nnested = [\n", &[]).unwrap_err();
    assert!(error.starts_with("/test.toml:"), "{error}");
    assert!(error.contains("not valid TOML"), "{error}");
}

#[test]
fn a_variable_that_is_almost_toml_is_refused_without_showing_its_value() {
    let error = load_text("", &[("TEST__DIRECTORY", "[s3cret")]).unwrap_err();
    assert!(error.contains("TEST__DIRECTORY") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = load::<Settings>(Some(Path::new("/nonexistent/agent.toml")), "TEST").unwrap_err();
    assert!(error.to_string().contains("/nonexistent/agent.toml"));
}

#[test]
fn without_a_file_the_defaults_hold() {
    assert_eq!(load_with::<Settings>(None, "TEST", []).unwrap(), Settings::default());
}

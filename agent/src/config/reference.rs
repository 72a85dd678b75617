//! The reference of the configuration file, as `docs/` shows it.

mod form;
mod sections;

use std::fmt::Write as _;

use self::form::{Default, Key, Section};
use self::sections::SECTIONS;
use super::ENV_PREFIX;
use crate::served::write::Kind;

/// Stands in a form for the names of all kinds of command.
const COMMANDS: &str = "COMMANDS";
/// The same for the kinds of change.
const OPERATIONS: &str = "OPERATIONS";

/// Every key with its type, default, environment variable and meaning, Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "## `postern-agent`\n\nThe agent reads `/etc/postern/agent.toml` (Windows: `C:\\ProgramData\\Postern\\agent.toml`), or the file given with `--config`. The environment \
         variable of a key overrides the file; `0` in its name is the first `[[directory]]`, `1` the second, and so on. Write a list as in the file: `[\"uid\", \"cn\"]`. Any other key is an error.\n\n\
         Three other variables count: `RUST_LOG` overrides `log.filter`; `HTTPS_PROXY` and `NO_PROXY` apply if `control_plane.proxy` is not set; systemd's `CREDENTIALS_DIRECTORY` is the folder of `bind_password_credential`.\n",
    );
    for section in &SECTIONS {
        section.write(&mut out);
    }
    out
}

impl Section {
    fn write(&self, out: &mut String) {
        let title = if self.header.is_empty() { "Top level".to_owned() } else { format!("`{}`", self.header) };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n### {title}\n\n{}\n\n| key | type | default | environment | meaning |\n| --- | --- | --- | --- | --- |\n",
            self.meaning
        );
        for Key { name, form, default, meaning } in self.keys {
            let default = match default {
                Default::Value(value) => format!("`{value}`"),
                Default::Words(words) => (*words).to_owned(),
                Default::Required => "required".to_owned(),
            };
            let form = form.replace(COMMANDS, &format!("`{}`", super::known_commands("`, `")));
            let operations = Kind::ALL.map(Kind::as_str).join("`, `");
            let form = form.replace(OPERATIONS, &format!("`{operations}`"));
            let variable = format!("{ENV_PREFIX}__{}{}", self.variables, name.to_uppercase());
            let _ = writeln!(out, "| `{name}` | {form} | {default} | `{variable}` | {meaning} |");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Not as _;
    use std::sync::Arc;

    use postern_runtime::settings;

    use super::*;
    use crate::config::Config;

    /// The least that is accepted, with every section.
    const LEAST: &str = r#"
[control_plane]
[health]
listen = "127.0.0.1:9464"
[log]
[policy]
[[directory]]
name = "corp"
urls = ["ldaps://ldap.example"]
bind_dn = "cn=reader"
bind_password_file = "secret"
[directory.users]
base_dns = ["dc=example"]
unique_attribute = "uid"
attributes = ["uid"]
[directory.groups]
base_dns = ["dc=example"]
[directory.write]
[directory.policy]
"#;

    fn load(text: &str) -> Result<Config, settings::Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        settings::load_with(Some(&file), ENV_PREFIX, [])
    }

    /// The file with this line in that section.
    fn with(header: &str, line: &str) -> String {
        if header.is_empty() {
            return format!("{line}\n{LEAST}");
        }
        assert!(LEAST.contains(&format!("\n{header}\n")), "{header} is no section");
        LEAST.replace(&format!("\n{header}\n"), &format!("\n{header}\n{line}\n"))
    }

    /// When it is read, or when the directories are opened.
    fn is_refused(text: &str) -> bool {
        load(text).is_ok_and(|config| config.open_each(&[], &Arc::default()).iter().all(Result::is_ok)).not()
    }

    #[test]
    fn every_key_that_the_agent_knows_is_in_the_reference_and_no_other() {
        let headers: BTreeSet<&str> = SECTIONS.iter().map(|section| section.header.trim_matches(['[', ']'])).collect();
        for section in &SECTIONS {
            let error = load(&with(section.header, "zzzz = 1")).unwrap_err().to_string();
            let known: BTreeSet<&str> = error.split('`').skip(1).step_by(2).filter(|key| *key != "zzzz").collect();
            let inside = section.header.trim_matches(['[', ']']);
            let is_section = |key: &&str| {
                headers.contains(if inside.is_empty() { (*key).to_owned() } else { format!("{inside}.{key}") }.as_str())
            };
            let known: BTreeSet<&str> = known.into_iter().filter(|key| !is_section(key)).collect();
            let shown: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(shown, known, "{}: {error}", section.header);
        }
    }

    #[test]
    fn a_default_that_is_shown_is_the_one_that_holds() {
        let unset = format!("{:?}", load(LEAST).unwrap());
        for section in &SECTIONS {
            for Key { name, default, .. } in section.keys {
                match default {
                    Default::Value(value) => {
                        let set = load(&with(section.header, &format!("{name} = {value}"))).unwrap();
                        assert_eq!(format!("{set:?}"), unset, "{} {name}", section.header);
                    }
                    Default::Required => {
                        let lines = LEAST.lines().filter(|line| !line.starts_with(&format!("{name} =")));
                        let without = lines.collect::<Vec<_>>().join("\n");
                        assert!(is_refused(&without), "{} {name} is not required", section.header);
                    }
                    Default::Words(_) => {}
                }
            }
        }
    }

    #[test]
    fn the_variables_shown_are_the_ones_that_are_read() {
        let shown = markdown();
        for variable in ["POSTERN_AGENT__DIRECTORY__0__USERS__FILTER", "POSTERN_AGENT__LOG__FILTER"] {
            assert!(shown.contains(&format!("`{variable}`")), "{shown}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, LEAST).unwrap();
        let strings = SECTIONS.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
        for (section, key) in strings.filter(|(_, key)| key.form == "text") {
            let variable = format!("{ENV_PREFIX}__{}{}", section.variables, key.name.to_uppercase());
            let set = settings::load_with::<Config>(Some(&file), ENV_PREFIX, [(variable.clone(), "x".to_owned())]);
            assert!(set.is_ok(), "{variable}: {set:?}");
        }
    }
}

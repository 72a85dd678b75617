//! Where an import comes from, compared with the one before: a server that is behind, or one that cannot be compared, or
//! an agent that is configured otherwise proves nobody gone.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use postern_store::Digests;
use serde::{Deserialize, Serialize};

/// Replication between sites takes up to three hours by default (Active Directory). A server that lacks more than that
/// may have been restored from a backup, and would be behind for ever.
const MOST_LAG: SignedDuration = SignedDuration::from_hours(4);

/// Where an import comes from. Opaque: ids, counters and digests that only the site can read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// When an import from there finished last.
    pub at: Option<Timestamp>,
    /// The server; empty where it has no id, or where all servers share their marks.
    pub server: String,
    /// How far it was in the changes of each server. Values are compared as text.
    pub marks: BTreeMap<String, String>,
    /// Digest of the users' section of the agent's configuration.
    pub users_digest: Option<String>,
    /// The same of the groups' section.
    pub groups_digest: Option<String>,
}

/// How a server stands to the one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It knows everything that the other one knew.
    Current,
    /// It does not: what it says is older than what is known.
    Behind,
    /// It is another server, and nothing shows that it knows as much.
    Unproven,
}

impl Source {
    /// How this server stands to the one that was read before; `None`: there was none.
    pub fn standing(&self, before: Option<&Self>) -> Standing {
        let Some(before) = before else { return Standing::Current };
        let mut all = true;
        for (server, known) in &before.marks {
            match self.marks.get(server) {
                Some(now) if now < known => return Standing::Behind,
                Some(_) => {}
                None => all = false,
            }
        }
        let has_id = !self.server.is_empty();
        let same = self.server == before.server && (has_id || before.marks.is_empty());
        // Without any mark to compare, another server has shown nothing.
        if same || (all && !before.marks.is_empty()) { Standing::Current } else { Standing::Unproven }
    }

    /// By which configuration it was read.
    pub fn configuration(&self) -> Digests {
        Digests { users: self.users_digest.clone(), groups: self.groups_digest.clone() }
    }

    /// Whether a server that is behind this one lags for longer than replication takes.
    pub fn is_long_ago(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| now.duration_since(at) >= MOST_LAG)
    }

    /// The sections of the configuration that differ from those of the import before.
    pub fn differing_sections(&self, before: Option<&Self>) -> Vec<&'static str> {
        let Some(before) = before else { return Vec::new() };
        let sections = [
            ("users", &self.users_digest, &before.users_digest),
            ("groups", &self.groups_digest, &before.groups_digest),
        ];
        // An import before that had none can be compared with nothing, unless it had the other.
        let comparable = before.users_digest.is_some();
        sections.into_iter().filter(|(_, now, known)| comparable && now != known).map(|(name, ..)| name).collect()
    }
}

/// Where the entries of an import come from, and how that stands to the import before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// It is another server, and nothing shows that it knows as much.
    pub(crate) unproven: bool,
    /// Sections of the agent's configuration that differ.
    pub(crate) differing: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(server: &str, marks: &[(&str, &str)]) -> Source {
        let marks = marks.iter().map(|(server, value)| ((*server).to_owned(), (*value).to_owned())).collect();
        Source { server: server.to_owned(), marks, ..Source::default() }
    }

    #[test]
    fn a_server_is_current_behind_or_unproven() {
        use Standing::{Behind, Current, Unproven};
        let dc1 = source("dc1", &[("dc1", "05"), ("dc2", "03")]);
        for (now, expected) in [
            (source("dc1", &[("dc1", "05"), ("dc2", "03")]), Current),
            (source("dc1", &[("dc1", "06")]), Current),
            (source("dc1", &[("dc1", "04")]), Behind),
            (source("dc1", &[("dc1", "09"), ("dc2", "02")]), Behind),
            (source("dc2", &[("dc2", "09"), ("dc1", "05")]), Current),
            (source("dc2", &[("dc2", "09"), ("dc1", "04")]), Behind),
            (source("dc2", &[("dc2", "09")]), Unproven),
            (source("", &[]), Unproven),
        ] {
            assert_eq!(now.standing(Some(&dc1)), expected, "{now:?}");
            assert_eq!(now.standing(None), Current, "nothing is known before");
        }
        // OpenLDAP: no ids, shared marks.
        let openldap = source("", &[("001", "2026a"), ("002", "2026b")]);
        assert_eq!(openldap.standing(Some(&openldap)), Current);
        assert_eq!(source("", &[("001", "2026a")]).standing(Some(&openldap)), Unproven);
        assert_eq!(source("", &[("001", "2025z"), ("002", "2026b")]).standing(Some(&openldap)), Behind);
        // Nothing but ids, or nothing at all.
        assert_eq!(source("a", &[]).standing(Some(&source("a", &[]))), Current);
        assert_eq!(source("b", &[]).standing(Some(&source("a", &[]))), Unproven);
        assert_eq!(source("", &[]).standing(Some(&source("", &[]))), Current);
    }

    #[test]
    fn sections_that_differ_are_named() {
        let digests = |users: Option<&str>, groups: Option<&str>| Source {
            users_digest: users.map(str::to_owned),
            groups_digest: groups.map(str::to_owned),
            ..Source::default()
        };
        let before = digests(Some("u"), Some("g"));
        assert!(before.differing_sections(Some(&before)).is_empty());
        assert!(before.differing_sections(None).is_empty());
        assert_eq!(digests(Some("x"), Some("g")).differing_sections(Some(&before)), ["users"]);
        assert_eq!(digests(Some("u"), None).differing_sections(Some(&before)), ["groups"], "no groups any more");
        assert_eq!(
            digests(None, None).differing_sections(Some(&before)),
            ["users", "groups"],
            "not known is not the same"
        );
        assert!(before.differing_sections(Some(&digests(None, None))).is_empty(), "nothing was known");
    }
}

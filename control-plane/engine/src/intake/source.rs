//! The source of an import, compared with the one before. No account is marked missing if the server is behind or
//! cannot be compared, or if the agent is configured differently.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use postern_store::Digests;
use serde::{Deserialize, Serialize};

/// Replication between sites takes up to three hours by default (Active Directory). A server that lags for longer may
/// have been restored from a backup, and would never catch up.
const MOST_LAG: SignedDuration = SignedDuration::from_hours(4);

/// The source of an import. Opaque: ids, counters and digests that only the site can interpret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// When the last import from this source finished.
    pub at: Option<Timestamp>,
    /// The server; empty if it has no id, or if all servers share their marks.
    pub server: String,
    /// How far it had replicated the changes of each server. Values are compared as text.
    pub marks: BTreeMap<String, String>,
    /// Digest of the users' section of the agent's configuration.
    pub users_digest: Option<String>,
    /// Digest of the groups' section.
    pub groups_digest: Option<String>,
}

/// How a server compares with the one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has all changes that the other one had.
    Current,
    /// It lacks some: its data is older than what is stored.
    Behind,
    /// It is another server, and nothing shows that it has them.
    Unproven,
}

impl Source {
    /// Compares this server with the one that was read before; `None`: there was none.
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
        // Without marks to compare, another server has shown nothing.
        if same || (all && !before.marks.is_empty()) { Standing::Current } else { Standing::Unproven }
    }

    /// The configuration that it was read by.
    pub fn configuration(&self) -> Digests {
        Digests { users: self.users_digest.clone(), groups: self.groups_digest.clone() }
    }

    /// Whether a server behind this one lags for longer than replication takes.
    pub fn is_long_ago(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| now.duration_since(at) >= MOST_LAG)
    }

    /// The sections of the configuration that differ from the import before.
    pub fn differing_sections(&self, before: Option<&Self>) -> Vec<&'static str> {
        let Some(before) = before else { return Vec::new() };
        let sections = [
            ("users", &self.users_digest, &before.users_digest),
            ("groups", &self.groups_digest, &before.groups_digest),
        ];
        // An earlier import without digests cannot be compared; one without a groups' section can.
        let comparable = before.users_digest.is_some();
        sections.into_iter().filter(|(_, now, known)| comparable && now != known).map(|(name, ..)| name).collect()
    }
}

/// The source of an import's entries, and how it compares with the import before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// Whether it is another server, and nothing shows that it has the same changes.
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
        // Only ids, or nothing at all.
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

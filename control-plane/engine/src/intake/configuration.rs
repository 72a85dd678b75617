//! Compares the configurations that agents read a directory by. Only digests are known here: they show that
//! configurations differ, not how.

use std::fmt;

use postern_store::{AgentId, Digests, Directory};

/// An agent whose configuration of a directory differs from that of the last import or another agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The agent.
    pub agent: AgentId,
    /// The sections that differ.
    pub sections: Vec<&'static str>,
    /// What it differs from.
    pub from: Compared,
}

/// What a configuration is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The configuration of the last import.
    LastImport,
    /// The configuration of another agent, before the first import.
    Agent(AgentId),
}

impl Difference {
    /// Whether this agent is one of the two.
    pub fn concerns(&self, agent: AgentId) -> bool {
        self.agent == agent || self.from == Compared::Agent(agent)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = self.sections.join(" and ");
        write!(f, "its base DNs, scope, filter or attributes for {sections} differ from those of ")?;
        match self.from {
            Compared::LastImport => f.write_str(
                "the last import (or its first base DN was created anew). An import by this agent is held if anybody would be marked \
                 missing by it. Make the agents' configurations equal, or, if you have changed it on purpose, start an import",
            ),
            Compared::Agent(other) => {
                write!(f, "agent {other}. Make their configurations equal before the first import")
            }
        }
    }
}

/// The sections in which two configurations differ. Unknown sections do not differ.
pub fn differing(one: &Digests, other: &Digests) -> Vec<&'static str> {
    // Without a digest for users there is none for groups either, even if they are configured.
    if one.users.is_none() || other.users.is_none() {
        return Vec::new();
    }
    let sections = [("users", &one.users, &other.users), ("groups", &one.groups, &other.groups)];
    sections.into_iter().filter(|(_, one, other)| one != other).map(|(name, ..)| name).collect()
}

/// The agents of a directory whose configuration differs from that of the last import. Before the first import they are
/// compared with the first-enrolled one.
pub fn differences(directory: &Directory) -> Vec<Difference> {
    let known = || directory.configurations.iter().filter(|(_, digests)| digests.users.is_some());
    let (reference, from) = match known().next() {
        _ if directory.configuration.users.is_some() => (&directory.configuration, Compared::LastImport),
        Some((first, digests)) => (digests, Compared::Agent(*first)),
        None => return Vec::new(),
    };
    known()
        .map(|(agent, digests)| Difference { agent: *agent, sections: differing(digests, reference), from })
        .filter(|difference| !difference.sections.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::missing::tests::directory;

    fn digests(users: &str, groups: &str) -> Digests {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Digests { users: some(users), groups: some(groups) }
    }

    fn with(last_import: Digests, agents: &[(AgentId, Digests)]) -> Directory {
        Directory { configuration: last_import, configurations: agents.to_vec(), ..directory() }
    }

    #[test]
    fn agents_are_compared_with_the_last_import_and_before_it_with_each_other() {
        let (a, b, c) = (AgentId::new(), AgentId::new(), AgentId::new());
        let agents = [(a, digests("u", "g")), (b, digests("u", "h")), (c, Digests::default())];
        let found = differences(&with(Digests::default(), &agents));
        assert_eq!(found, [Difference { agent: b, sections: vec!["groups"], from: Compared::Agent(a) }]);
        assert!(found[0].concerns(a) && found[0].concerns(b) && !found[0].concerns(c));
        let found = differences(&with(digests("v", "h"), &agents));
        assert_eq!(
            found,
            [
                Difference { agent: a, sections: vec!["users", "groups"], from: Compared::LastImport },
                Difference { agent: b, sections: vec!["users"], from: Compared::LastImport },
            ]
        );
    }

    #[test]
    fn what_is_not_known_differs_in_nothing_and_groups_that_are_not_read_do() {
        let agent = AgentId::new();
        assert!(differences(&with(digests("u", "g"), &[(agent, digests("", ""))])).is_empty());
        assert!(differences(&with(Digests::default(), &[(agent, digests("u", "g"))])).is_empty());
        let found = differences(&with(digests("u", "g"), &[(agent, digests("u", ""))]));
        assert_eq!(found[0].sections, ["groups"]);
    }
}

//! What the server has done, by its own log.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};

use crate::slapd::Slapd;

/// A kind of request, as slapd's log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An entry is made.
    Add,
    /// An entry is changed.
    Modify,
    /// An entry is moved.
    Move,
    /// An entry is deleted.
    Delete,
    /// A password is set (RFC 3062).
    Password,
}

/// How often each entry was changed, by its name and kind of request. A request that failed has no effect.
pub type Counts = BTreeMap<(String, Kind), u32>;

/// What has been done since a point of the log.
#[derive(Debug)]
pub struct Effects {
    bytes: u64,
    counts: Counts,
    /// Requests without a result in the log: the server does not log one if the connection is gone.
    unanswered: Counts,
}

impl Effects {
    /// Nothing yet.
    pub fn since_now(slapd: &Slapd) -> Result<Self> {
        let log = slapd.process().context("slapd does not run")?.log_after(0)?;
        Ok(Self { bytes: log.len() as u64, counts: Counts::new(), unanswered: Counts::new() })
    }

    /// Reads what has been done.
    pub fn look(&mut self, slapd: &Slapd) -> Result<()> {
        let log = slapd.process().context("slapd does not run")?.log_after(self.bytes)?;
        let mut asked = HashMap::new();
        for line in log.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let Some(at) = words.iter().position(|word| word.starts_with("conn=")) else { continue };
            let [connection, operation, request, further @ ..] = &words[at..] else { continue };
            let kind = match *request {
                "ADD" => Some(Kind::Add),
                // The line `MOD attr=…` follows.
                "MOD" => Some(Kind::Modify),
                "MODRDN" => Some(Kind::Move),
                "DEL" => Some(Kind::Delete),
                "PASSMOD" => Some(Kind::Password),
                _ => None,
            };
            let id = (*connection, *operation);
            if let (Some(kind), Some(("dn" | "id", dn))) = (kind, further.first().and_then(|word| word.split_once('=')))
            {
                asked.insert(id, (name(dn), kind));
            } else if *request == "RESULT"
                && line.contains(" err=0 ")
                && let Some(effect) = asked.remove(&id)
            {
                *self.counts.entry(effect).or_default() += 1;
            }
        }
        for effect in asked.into_values() {
            *self.unanswered.entry(effect).or_default() += 1;
        }
        Ok(())
    }

    /// How often each was done, for sure.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether this, and nothing else, has been done to people whose names begin with `k`.
    pub fn are(&self, wanted: &Counts) -> bool {
        let only_wanted = self.counts.iter().all(|(effect, count)| {
            !effect.0.starts_with('k') || wanted.get(effect).is_some_and(|wanted| count <= wanted)
        });
        let of = |counts: &Counts, effect| counts.get(effect).copied().unwrap_or_default();
        only_wanted
            && wanted.iter().all(|(effect, count)| of(&self.counts, effect) + of(&self.unanswered, effect) >= *count)
    }
}

/// The value of the first RDN of a DN in quotes.
fn name(dn: &str) -> String {
    let dn = dn.trim_matches('"');
    let first = dn.split(',').next().unwrap_or_default();
    first.split_once('=').map_or(first, |(_, value)| value).to_owned()
}

//! Who should be in the directory, and changes of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::api::Api;
use crate::effects::{Counts, Kind};
use crate::ldif::Entry;
use crate::seeded::Seeded;
use crate::slapd::Slapd;

/// Where people are.
pub(super) const UNITS: [&str; 3] = ["sales", "support", "works"];
/// A group with some of them.
pub(super) const GROUP: &str = "team";
/// Most people at a time.
const MOST: usize = 12;
/// Most changes in a round.
const CHANGES: u64 = 4;

#[derive(Clone, Debug)]
struct Person {
    id: String,
    mail: String,
    unit: &'static str,
    active: bool,
    member: bool,
}

/// All of them by their names.
#[derive(Debug)]
pub(super) struct People {
    group: String,
    known: BTreeMap<String, Person>,
    /// Counts those who were ever made, and the changes of their addresses.
    made: u32,
    addresses: u32,
}

impl People {
    /// Nobody yet.
    pub(super) fn of(group: String) -> Self {
        Self { group, known: BTreeMap::new(), made: 0, addresses: 0 }
    }

    /// Changes some, each of them once, and says what the directory must do for it.
    pub(super) async fn change(&mut self, api: &Api, random: &mut Seeded) -> Result<Counts> {
        let mut wanted = Counts::new();
        let mut untouched: Vec<String> = self.known.keys().cloned().collect();
        for _ in 0..=random.below(CHANGES) {
            let choice = random.below(8);
            if untouched.is_empty() || (choice < 2 && self.known.len() < MOST) {
                let name = self.create(api, random).await?;
                wanted.insert((name, Kind::Add), 1);
                continue;
            }
            let name = untouched.swap_remove(usize::try_from(random.below(untouched.len() as u64))?);
            if let Some(kind) = self.change_one(api, &name, choice, random).await? {
                wanted.insert((name, kind), 1);
            }
        }
        Ok(wanted)
    }

    async fn create(&mut self, api: &Api, random: &mut Seeded) -> Result<String> {
        self.made += 1;
        let name = format!("k{:04}", self.made);
        let unit = UNITS[usize::try_from(random.below(3))?];
        let mail = format!("{name}@corp.example");
        let body = json!({"user_name": name, "family_name": name, "email": mail, "attributes": {"department": unit}});
        let user = api.post("/api/v1/users", body).await?;
        let id = user["id"].as_str().context("no id")?.to_owned();
        self.known.insert(name.clone(), Person { id, mail, unit, active: true, member: false });
        Ok(name)
    }

    /// What the entry itself gets: nothing if only a group changes.
    async fn change_one(&mut self, api: &Api, name: &str, choice: u64, random: &mut Seeded) -> Result<Option<Kind>> {
        let person = self.known.get_mut(name).context("nobody")?;
        let user = format!("/api/v1/users/{}", person.id);
        let kind = match choice {
            0..3 => {
                self.addresses += 1;
                person.mail = format!("{name}.{}@corp.example", self.addresses);
                api.patch(&user, json!({ "email": person.mail })).await?;
                Kind::Modify
            }
            3 => {
                let others: Vec<_> = UNITS.iter().copied().filter(|unit| *unit != person.unit).collect();
                person.unit = others[usize::try_from(random.below(2))?];
                api.patch(&user, json!({ "attributes": { "department": person.unit } })).await?;
                Kind::Move
            }
            4 => {
                person.active = !person.active;
                let action = if person.active { "enable" } else { "disable" };
                api.post(&format!("{user}/{action}"), json!({})).await?;
                Kind::Modify
            }
            5 => {
                api.delete(&user).await?;
                self.known.remove(name);
                Kind::Delete
            }
            _ => {
                person.member = !person.member;
                let path = format!("/api/v1/groups/{}/members/{}", self.group, person.id);
                if person.member {
                    api.put(&path, &json!({})).await?;
                } else {
                    api.delete(&path).await?;
                }
                return Ok(None);
            }
        };
        Ok(Some(kind))
    }

    /// The first difference between what should be there and what is.
    pub(super) async fn differ(&self, slapd: &Slapd) -> Result<Option<String>> {
        let entries = slapd.entries("(uid=k*)").await?;
        let found: BTreeMap<String, &Entry> = entries.iter().map(|entry| (entry.text("uid"), entry)).collect();
        if let Some(name) = found.keys().find(|name| !self.known.contains_key(*name)) {
            return Ok(Some(format!("{name} is still there")));
        }
        let groups = slapd.entries(&format!("(cn={GROUP})")).await?;
        let members: Vec<String> = groups
            .first()
            .map(|group| group.values("member").iter().map(|dn| String::from_utf8_lossy(dn).to_lowercase()).collect())
            .unwrap_or_default();
        for (name, person) in &self.known {
            let Some(entry) = found.get(name) else { return Ok(Some(format!("{name} is not there"))) };
            let dn = entry.dn.to_lowercase();
            let as_wanted = entry.text("mail") == person.mail
                && dn.contains(&format!(",ou={},", person.unit))
                && (entry.text("employeeType") == "disabled") != person.active
                && members.contains(&dn) == person.member;
            if !as_wanted {
                return Ok(Some(format!("{name} is {entry:?} instead of {person:?}; members {members:?}")));
            }
        }
        Ok(None)
    }
}

//! The rules of one directory: what may be changed there, decided from what is about to be done. Nothing is counted or
//! written here, so that the same rules can be explained beforehand.

use std::collections::{BTreeMap, BTreeSet};

use postern_directory::DirectoryConfig;
use postern_dn::attribute_names::attribute;
use postern_dn::{Ava, Dn, Rdn};

use super::change::counted;
use super::limits::Counted;
use crate::served::write::{Intent, Kind, Written};

/// A rule that is broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The rule, by its key in the configuration.
    pub rule: &'static str,
    /// What breaks it, for people of the site.
    pub because: String,
}

/// The rules of one directory. The default allows nothing.
#[derive(Clone, Debug)]
pub struct Rules {
    read_only: bool,
    /// Empty: none.
    operations: Option<BTreeSet<Kind>>,
    writable_containers: Vec<Dn>,
    writable_attributes: Option<BTreeSet<String>>,
    protected_dns: Vec<Dn>,
    protected_groups: Vec<Dn>,
    limits: BTreeMap<Counted, u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            read_only: true,
            operations: None,
            writable_containers: Vec::new(),
            writable_attributes: None,
            protected_dns: Vec::new(),
            protected_groups: Vec::new(),
            limits: BTreeMap::new(),
        }
    }
}

impl Rules {
    /// The rules that a directory's section states. DNs that are none were refused with the section.
    pub fn new(config: &DirectoryConfig) -> Self {
        let policy = &config.policy;
        let dns = |texts: &[String]| texts.iter().filter_map(|text| Dn::parse(text).ok()).collect::<Vec<Dn>>();
        // Entries elsewhere are read and never changed, unless the site names their containers.
        let new = config.write.iter().flat_map(|write| [&write.user_container, &write.group_container]);
        let new: Vec<String> = new.flatten().cloned().collect();
        let writable = dns(policy.writable_containers.as_ref().unwrap_or(&new));
        let limits = [
            (Counted::Deletes, policy.max_deletes_per_hour),
            (Counted::Disables, policy.max_disables_per_hour),
            (Counted::PasswordSets, policy.max_password_sets_per_minute),
        ];
        let names = |names: &Vec<String>| names.iter().map(|name| attribute(name)).collect();
        Self {
            read_only: policy.read_only || config.write.is_none(),
            operations: policy.operations.as_ref().map(|kinds| kinds.iter().copied().collect()),
            writable_containers: writable,
            writable_attributes: policy.writable_attributes.as_ref().map(names),
            protected_dns: dns(&policy.protected_dns),
            protected_groups: dns(&policy.protected_groups),
            limits: limits.into_iter().filter_map(|(counted, most)| Some((counted, most?))).collect(),
        }
    }

    /// Whether writes are on, and which rules hold, for people of the site.
    pub fn described(&self) -> String {
        if self.read_only {
            return "nothing is written (read_only)".to_owned();
        }
        let list = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join("; ") };
        let dns = |dns: &[Dn]| list(dns.iter().map(ToString::to_string).collect());
        let all = || "all".to_owned();
        let kinds = |kinds: &BTreeSet<Kind>| list(kinds.iter().map(|kind| kind.as_str().to_owned()).collect());
        let limits = self.limits.iter().map(|(counted, most)| format!("{} = {most}", counted.rule())).collect();
        let attributes = self.writable_attributes.as_ref().map(|names| list(names.iter().cloned().collect()));
        format!(
            "writes are on; operations: {}; writable_containers: {}; writable_attributes: {}; protected_dns: {}; \
             protected_groups: {}; limits: {}",
            self.operations.as_ref().map_or_else(all, kinds),
            dns(&self.writable_containers),
            attributes.unwrap_or_else(all),
            dns(&self.protected_dns),
            dns(&self.protected_groups),
            list(limits),
        )
    }

    /// Groups whose members are protected.
    pub fn protected_groups(&self) -> &[Dn] {
        &self.protected_groups
    }

    /// The most of a kind, where there is a limit.
    pub(crate) fn limit(&self, counted: Counted) -> Option<u32> {
        self.limits.get(&counted).copied()
    }

    /// The keys of the limits that a change counts towards.
    pub(crate) fn limits_of(&self, kind: Kind, sets_password: bool) -> Vec<&'static str> {
        let limited = counted(kind, sets_password).into_iter().filter(|counted| self.limits.contains_key(counted));
        limited.map(Counted::rule).collect()
    }

    /// Whether anything is limited.
    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// What can be said before the entry is looked for.
    pub fn of_kind(&self, kind: Kind, sets_password: bool) -> Result<(), Broken> {
        if self.read_only {
            return Err(broken("read_only", "nothing is written to this directory"));
        }
        let asked = [Some(kind), sets_password.then_some(Kind::SetPassword)];
        match &self.operations {
            Some(allowed) => match asked.into_iter().flatten().find(|kind| !allowed.contains(kind)) {
                Some(kind) => Err(broken("operations", format!("{} is not one of them", kind.as_str()))),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// What can be said of the attributes that are written, each by all names that it has.
    fn of_attributes(&self, intent: &Intent<'_>) -> Result<(), Broken> {
        let Some(writable) = &self.writable_attributes else { return Ok(()) };
        let is_writable = |written: &Written| writable.iter().any(|name| written.is(name));
        if let Some(written) = intent.attributes.iter().find(|written| !is_writable(written)) {
            return Err(broken("writable_attributes", format!("{:?} is not one of them", written.description)));
        }
        match new_naming(intent).into_iter().find(|name| !writable.contains(&attribute(name))) {
            Some(name) => {
                Err(broken("writable_attributes", format!("the entry is named by {name:?}, which is not one")))
            }
            None => Ok(()),
        }
    }

    /// Decides about an intent, apart from limits.
    pub fn decide(&self, intent: &Intent<'_>) -> Result<(), Broken> {
        self.of_kind(intent.kind, intent.sets_password)?;
        self.protection(intent)?;
        let changed = [intent.dn].into_iter().chain(intent.destination).chain(intent.groups.iter().copied());
        if let Some(dn) = changed.into_iter().find(|dn| !self.is_writable(dn)) {
            return Err(broken("writable_containers", format!("{dn} is not below one of them")));
        }
        self.of_attributes(intent)
    }

    /// Whether somebody or something protected is changed, or carried along.
    fn protection(&self, intent: &Intent<'_>) -> Result<(), Broken> {
        let carries = matches!(intent.kind, Kind::Move | Kind::Delete);
        let named = [intent.dn].into_iter().chain(intent.destination);
        let named = named.chain(intent.groups.iter().chain(&intent.members).copied());
        for dn in named {
            if let Some(protected) = self.protected_dns.iter().find(|protected| dn.is_within(protected)) {
                return Err(broken("protected_dns", format!("{dn} is {protected} or below it")));
            }
            if let Some(group) = self.protected_groups.iter().find(|group| dn == *group) {
                return Err(broken("protected_groups", format!("{group} is one of them")));
            }
        }
        let below = |dns: &[Dn]| dns.iter().find(|protected| carries && protected.is_within(intent.dn)).cloned();
        for (rule, dns) in [("protected_dns", &self.protected_dns), ("protected_groups", &self.protected_groups)] {
            if let Some(protected) = below(dns) {
                return Err(broken(rule, format!("{protected} is below {}", intent.dn)));
            }
        }
        if let Some(group) = intent.members_group {
            return Err(broken("protected_groups", format!("one of the members is a member of {group}")));
        }
        if let Some(group) = &intent.facts.protected_below {
            return Err(broken("protected_groups", format!("somebody below {} is a member of {group}", intent.dn)));
        }
        match &intent.facts.protected_group {
            Some(group) => Err(broken("protected_groups", format!("{} is a member of {group}", intent.dn))),
            None => Ok(()),
        }
    }

    /// Whether an entry lies below a container that may be written. The container itself does not. Names that a server
    /// may keep apart count as different here.
    fn is_writable(&self, dn: &Dn) -> bool {
        self.writable_containers.iter().any(|container| {
            let levels = dn.rdns().len().checked_sub(container.rdns().len()).filter(|levels| *levels > 0);
            let above = levels.and_then(|levels| dn.above(levels));
            above.is_some_and(|above| above.case_folded() == container.case_folded())
        })
    }
}

/// The attributes of a new relative name: a rename writes them.
fn new_naming<'a>(intent: &Intent<'a>) -> Vec<&'a str> {
    let Some(destination) = intent.destination else { return Vec::new() };
    let name = |dn: &Dn| dn.leaf().map(|leaf| leaf.to_string());
    if name(destination) == name(intent.dn) {
        return Vec::new();
    }
    let leaf = destination.rdns().first();
    leaf.into_iter().flat_map(Rdn::avas).map(Ava::attribute).collect()
}

fn broken(rule: &'static str, because: impl Into<String>) -> Broken {
    Broken { rule, because: because.into() }
}

#[cfg(test)]
mod tests;

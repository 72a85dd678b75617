//! What may be written at all: entries that the system needs are left alone whatever the policy says, and the site is
//! asked about all others.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::gate::{Facts, Intent, Kind};
use super::operation::Create;
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase, Step};
use crate::failure::Failure;
use crate::filter;
use crate::kinds;
use crate::second_look::everywhere;
use postern_dn::Dn;

/// `LDAP_MATCHING_RULE_IN_CHAIN` (MS-ADTS §3.1.1.3.4.4.3).
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// Groups above an entry that are looked at; with more, the entry counts as protected.
const MOST_GROUPS: usize = 2_000;
/// DNs in one filter.
const AT_ONCE: usize = 50;

/// What is about to be done, apart from the entry itself.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub(crate) destination: Option<&'a Dn>,
    pub(crate) attributes: Vec<&'a str>,
    pub(crate) groups: Vec<&'a Dn>,
    pub(crate) members: Vec<&'a Dn>,
}

impl Work<'_> {
    /// Refuses what is never written, and asks the site about the rest.
    pub(crate) async fn allowed(&mut self, kind: Kind, target: &mut Target, plan: Plan<'_>) -> Result<(), Error> {
        if let Some(reason) = protection(&target.facts) {
            return Err(Failure::Protected { reason }.into());
        }
        self.must_be_of_kind(target).await?;
        target.facts.protected_group = self.protected_group(target).await?;
        let Plan { destination, attributes, groups, members } = plan;
        let attributes = attributes.iter().map(|name| self.session.schema.written(name)).collect();
        let intent = Intent {
            kind,
            phase: self.phase,
            external_id: target.external_id.as_deref(),
            dn: &target.dn,
            destination,
            attributes,
            groups,
            members,
            sets_password: kind == Kind::SetPassword,
            facts: &target.facts,
            again: self.permitted.load(Ordering::Relaxed),
        };
        self.permit(&intent)
    }

    /// Asks the site about an entry that is to be made.
    pub(crate) fn allowed_new(&self, dn: &Dn, create: &Create, members: Vec<&Dn>) -> Result<(), Error> {
        self.permit(&Intent {
            kind: Kind::Create,
            phase: self.phase,
            external_id: None,
            dn,
            destination: None,
            attributes: create.attributes.iter().map(|(name, _)| self.session.schema.written(name)).collect(),
            groups: if members.is_empty() { Vec::new() } else { vec![dn] },
            members,
            sets_password: create.password.is_some(),
            facts: &Facts::default(),
            again: self.permitted.load(Ordering::Relaxed),
        })
    }

    /// Asks the site about the groups that still list an entry which is gone.
    pub(crate) fn allowed_gone(&self, dn: &Dn, groups: Vec<&Dn>) -> Result<(), Error> {
        self.permit(&Intent {
            kind: Kind::Delete,
            phase: self.phase,
            external_id: None,
            dn,
            destination: None,
            attributes: Vec::new(),
            groups,
            members: Vec::new(),
            sets_password: false,
            facts: &Facts::default(),
            again: self.permitted.load(Ordering::Relaxed),
        })
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Error> {
        self.gate.permit(intent).map_err(Failure::Denied)?;
        self.permitted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The first of the site's protected groups that the entry is, or is a member of through any number of groups.
    async fn protected_group(&mut self, target: &Target) -> Result<Option<Dn>, Error> {
        let groups = self.gate.protected_groups().to_vec();
        if let Some(group) = groups.iter().find(|group| **group == target.dn) {
            return Ok(Some(group.clone()));
        }
        match (groups.is_empty(), self.is_active_directory()) {
            (true, _) => Ok(None),
            (false, true) => self.in_chain(target, groups).await,
            (false, false) => self.walk(target, groups).await,
        }
    }

    /// Active Directory follows the chain itself, but leaves out the primary group, which lists nobody.
    async fn in_chain(&mut self, target: &Target, groups: Vec<Dn>) -> Result<Option<Dn>, Error> {
        let mut entries = vec![target.text.clone()];
        let primary = kinds::primary_group(target.values.first("objectSid"), target.values.text("primaryGroupID"));
        if let Some(condition) = primary {
            let ids = [self.flavour().external_id_attribute()];
            let bases = self.bases(Phase::Groups);
            let found = everywhere(&mut self.session.connection, &self.session.root, &bases, &condition, &ids).await?;
            entries.extend(found.into_values());
        }
        let none = ["1.1".to_owned()];
        let through = |group: &Dn| filter::equals(&format!("memberOf:{IN_CHAIN}:"), group.to_string().as_bytes());
        let any = format!("(|{})", groups.iter().map(through).collect::<String>());
        for entry in &entries {
            if let Some(group) = groups.iter().find(|group| Dn::parse(entry).is_ok_and(|dn| dn == **group)) {
                return Ok(Some(group.clone()));
            }
            if self.session.connection.read_entry(entry, &any, &none, Step::Search).await?.is_none() {
                continue;
            }
            for group in &groups {
                if self.session.connection.read_entry(entry, &through(group), &none, Step::Search).await?.is_some() {
                    return Ok(Some(group.clone()));
                }
            }
            // It was one of them a moment ago.
            return Ok(groups.into_iter().next());
        }
        Ok(None)
    }

    /// The groups that list the entry, the groups that list those, and so on, up to a bound.
    async fn walk(&mut self, target: &Target, groups: Vec<Dn>) -> Result<Option<Dn>, Error> {
        let ids = self.external_ids(Phase::Groups);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut bases = self.bases(Phase::Groups);
        bases.extend(groups.iter().filter_map(Dn::parent).map(|parent| parent.to_string()));
        let mut seen = BTreeSet::from([target.dn.normalized()]);
        let mut level = vec![target.text.clone()];
        let uid = target.values.text("uid").map(|uid| filter::equals("memberUid", uid.as_bytes()));
        let mut more = uid.unwrap_or_default();
        while !level.is_empty() {
            let mut next = Vec::new();
            for some in level.chunks(AT_ONCE) {
                let listing: String = some.iter().map(|dn| lists(dn)).collect();
                let condition = format!("(|{listing}{})", std::mem::take(&mut more));
                let found =
                    everywhere(&mut self.session.connection, &self.session.root, &bases, &condition, &ids).await?;
                for dn in found.into_values() {
                    let Ok(parsed) = Dn::parse(&dn) else { continue };
                    if let Some(group) = groups.iter().find(|group| **group == parsed) {
                        return Ok(Some(group.clone()));
                    }
                    if seen.insert(parsed.normalized()) {
                        next.push(dn);
                    }
                }
            }
            if seen.len() > MOST_GROUPS {
                // Nobody can say: that is not a no.
                return Ok(groups.into_iter().next());
            }
            level = next;
        }
        Ok(None)
    }
}

/// The condition that a group lists this DN.
pub(crate) fn lists(dn: &str) -> String {
    filter::equals("member", dn.as_bytes()) + &filter::equals("uniqueMember", dn.as_bytes())
}

/// Why an entry is never written.
fn protection(facts: &Facts) -> Option<&'static str> {
    Some(match facts {
        Facts { is_bind_account: true, .. } => "it is the account by which the agent binds",
        Facts { is_critical: true, .. } => "the system needs it (isCriticalSystemObject)",
        Facts { is_builtin: true, .. } => "it is a built-in account or group",
        Facts { admin_count: true, .. } => "it is or was an administrator's (adminCount is 1)",
        _ => return None,
    })
}

//! Membership of the site's protected groups, through any number of groups.

use std::collections::BTreeSet;

use super::operation::Subject;
use super::outcome::RefusedMember;
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase, Step};
use crate::filter;
use crate::flavour::external_id_filter;
use crate::kinds;
use crate::second_look::everywhere;
use postern_dn::attribute_names::attribute;
use postern_dn::{Ava, Dn};

/// `LDAP_MATCHING_RULE_IN_CHAIN` (MS-ADTS §3.1.1.3.4.4.3).
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// Groups above an entry that are looked at; with more, the entry counts as protected.
const MOST_GROUPS: usize = 2_000;
/// DNs in one filter.
const AT_ONCE: usize = 50;

/// The administrators' groups of Active Directory, which the system itself has made.
const ADMINISTRATORS: &str = "(&(objectCategory=group)(isCriticalSystemObject=TRUE)(adminCount=1))";

impl Work<'_> {
    /// The site's protected groups, and in Active Directory those of administrators.
    async fn protected_groups(&mut self) -> Result<Vec<Dn>, Error> {
        let mut groups = self.gate.protected_groups().to_vec();
        let Some(domain) = self.session.root.default_naming_context.clone().filter(|_| self.is_active_directory())
        else {
            return Ok(groups);
        };
        if self.session.administrators.is_none() {
            let ids = [self.flavour().external_id_attribute()];
            let (connection, root) = (&mut self.session.connection, &self.session.root);
            let found = everywhere(connection, root, &[domain], ADMINISTRATORS, &ids).await?;
            self.session.administrators = Some(found.into_values().filter_map(|dn| Dn::parse(&dn).ok()).collect());
        }
        groups.extend(self.session.administrators.iter().flatten().cloned());
        Ok(groups)
    }

    /// The first of the site's protected groups that the entry is, or is a member of through any number of groups.
    pub(crate) async fn protected_group(&mut self, target: &Target) -> Result<Option<Dn>, Error> {
        let groups = self.protected_groups().await?;
        if let Some(group) = groups.iter().find(|group| **group == target.dn) {
            return Ok(Some(group.clone()));
        }
        match (groups.is_empty(), self.is_active_directory()) {
            (true, _) => Ok(None),
            (false, true) => self.in_chain(target, groups).await,
            (false, false) => {
                let uid = target.values.text("uid").map(|uid| filter::equals("memberUid", uid.as_bytes()));
                self.walk(vec![target.text.clone()], uid.unwrap_or_default(), groups).await
            }
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

    /// The first of the protected groups that one of these is a member of. Who is one of them is known by the DN alone.
    pub(crate) async fn protected_members(&mut self, members: &[&Dn]) -> Result<Option<Dn>, Error> {
        let by_uid = members.iter().filter_map(|dn| uid_in(dn)).map(|uid| filter::equals("memberUid", uid.as_bytes()));
        self.protected_entries(members, by_uid.collect()).await
    }

    /// The same with the conditions for groups that list them by `uid`.
    pub(crate) async fn protected_entries(
        &mut self,
        members: &[&Dn],
        by_uid: Vec<String>,
    ) -> Result<Option<Dn>, Error> {
        if members.is_empty() {
            return Ok(None);
        }
        let groups = self.protected_groups().await?;
        if groups.is_empty() {
            return Ok(None);
        }
        if self.is_active_directory() {
            return self.members_in_chain(members, groups).await;
        }
        for some in by_uid.chunks(AT_ONCE) {
            if let Some(group) = self.walk(Vec::new(), some.concat(), groups.clone()).await? {
                return Ok(Some(group));
            }
        }
        self.walk(members.iter().map(ToString::to_string).collect(), String::new(), groups).await
    }

    /// The same in Active Directory, where the primary group counts too.
    async fn members_in_chain(&mut self, members: &[&Dn], groups: Vec<Dn>) -> Result<Option<Dn>, Error> {
        let ids = [self.flavour().external_id_attribute()];
        let mut bases = self.bases(Phase::Users);
        bases.extend(self.bases(Phase::Groups));
        let mut through = Vec::with_capacity(groups.len());
        for group in &groups {
            let text = group.to_string();
            let mut condition = filter::equals(&format!("memberOf:{IN_CHAIN}:"), text.as_bytes());
            let found = self.read(&text, &[]).await?;
            let sid = found.as_ref().and_then(|found| found.values.first("objectSid")).map(|sid| kinds::sid(sid));
            if let Some((_, Some(rid))) = sid {
                condition += &filter::equals("primaryGroupID", rid.to_string().as_bytes());
            }
            through.push(condition);
        }
        let any = through.concat();
        for some in members.chunks(AT_ONCE) {
            let one = |dn: &&Dn| filter::equals("distinguishedName", dn.to_string().as_bytes());
            let listed = some.iter().map(one).collect::<String>();
            let (connection, root) = (&mut self.session.connection, &self.session.root);
            if everywhere(connection, root, &bases, &format!("(&(|{listed})(|{any}))"), &ids).await?.is_empty() {
                continue;
            }
            for (group, condition) in groups.iter().zip(&through) {
                let condition = format!("(&(|{listed})(|{condition}))");
                if !everywhere(connection, root, &bases, &condition, &ids).await?.is_empty() {
                    return Ok(Some(group.clone()));
                }
            }
            // One of them was a member a moment ago.
            return Ok(groups.into_iter().next());
        }
        Ok(None)
    }

    /// Those of these whose primary group it is: the group does not list them, so nothing can be removed, and they stay in it.
    pub(crate) async fn primary_members(
        &mut self,
        group: &Target,
        subjects: &[Subject],
    ) -> Result<Vec<RefusedMember>, Error> {
        let sid = group.values.first("objectSid").filter(|_| self.is_active_directory()).map(|sid| kinds::sid(sid));
        let Some((_, Some(rid))) = sid else { return Ok(Vec::new()) };
        let in_it = filter::equals("primaryGroupID", rid.to_string().as_bytes());
        let (ids, bases) = ([self.flavour().external_id_attribute()], self.bases(Phase::Users));
        let mut stay = Vec::new();
        for some in subjects.chunks(AT_ONCE) {
            let one = |subject: &Subject| match (&subject.external_id, &subject.dn) {
                (Some(id), _) => external_id_filter(ids[0], id),
                (None, Some(dn)) => filter::equals("distinguishedName", dn.as_bytes()),
                (None, None) => String::new(),
            };
            let listed = some.iter().map(one).collect::<String>();
            let (connection, root) = (&mut self.session.connection, &self.session.root);
            let found = everywhere(connection, root, &bases, &format!("(&{in_it}(|{listed}))"), &ids).await?;
            let is_found = |subject: &&Subject| {
                let by_dn = |dn: &String| {
                    Dn::parse(dn).is_ok_and(|dn| found.values().any(|it| Dn::parse(it).is_ok_and(|it| it == dn)))
                };
                subject.external_id.as_ref().is_some_and(|id| found.contains_key(id))
                    || (subject.external_id.is_none() && subject.dn.as_ref().is_some_and(by_dn))
            };
            stay.extend(some.iter().filter(is_found).map(RefusedMember::of_primary_group));
        }
        Ok(stay)
    }

    /// The groups that list one of these entries, the groups that list those, and so on, up to a bound.
    async fn walk(&mut self, entries: Vec<String>, also: String, groups: Vec<Dn>) -> Result<Option<Dn>, Error> {
        let ids = self.external_ids(Phase::Groups);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut bases = self.bases(Phase::Groups);
        bases.extend(groups.iter().filter_map(Dn::parent).map(|parent| parent.to_string()));
        let (mut seen, mut level, mut more) = (BTreeSet::new(), entries, also);
        while !(level.is_empty() && more.is_empty()) {
            let mut next = Vec::new();
            // Without entries there is one search all the same, for what else is sought.
            let none: &[String] = &[];
            let parts = level.chunks(AT_ONCE).chain(level.is_empty().then_some(none));
            for some in parts {
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

/// The `uid` by which an entry is named, for groups that list members by it.
pub(crate) fn uid_in(dn: &Dn) -> Option<String> {
    let is_uid = |ava: &&Ava| attribute(ava.attribute()) == "uid";
    let ava = dn.rdns().first()?.avas().iter().find(is_uid)?;
    String::from_utf8(ava.value().as_bytes().to_vec()).ok()
}

//! What is searched: the users' section and the groups', with what the configuration leaves to the flavour filled in.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{DirectoryConfig, MemberForm, Scope};
use crate::entry::{Ids, Naming, OffBy, Selection};
use crate::error::Phase;
use crate::flavour::Flavour;
use crate::kinds;
use crate::names::Names;
use postern_dn::Dn;

/// One section of the configuration, ready to be searched.
pub(crate) struct Section<'a> {
    pub(crate) phase: Phase,
    pub(crate) base_dns: &'a [String],
    pub(crate) scope: Scope,
    pub(crate) filter: Cow<'a, str>,
    pub(crate) selection: Selection,
    /// What to ask the server for.
    pub(crate) requested: Vec<String>,
}

/// The attributes by which the usual classes of groups list their members.
const MEMBER_ATTRIBUTES: [&str; 3] = ["member", "uniqueMember", "memberUid"];

impl<'a> Section<'a> {
    /// Users first, then groups where there are any.
    pub(crate) fn all(config: &'a DirectoryConfig, flavour: Flavour, names: &Arc<Names>) -> Vec<Self> {
        let mut sections = vec![Self::users(config, flavour, names)];
        sections.extend(Self::groups(config, flavour, names, true));
        sections
    }

    pub(crate) fn users(config: &'a DirectoryConfig, flavour: Flavour, names: &Arc<Names>) -> Self {
        let users = &config.users;
        let ids = Ids { attribute: external_id_attribute(config, flavour), own: None };
        let unique = Some(users.unique_attribute.as_str());
        let naming_groups: Vec<_> = config.group_attribute().map(|name| (name, Naming::Kept)).into_iter().collect();
        let mut selection =
            Selection::new(flavour, Phase::Users, names, ids, &users.attributes, unique, &naming_groups);
        selection.off_by = OffBy::of(config, flavour);
        Self {
            requested: requested(&selection, flavour, Phase::Users),
            phase: Phase::Users,
            base_dns: &users.base_dns,
            scope: users.scope,
            filter: users.filter.as_deref().unwrap_or(flavour.user_filter()).into(),
            selection,
        }
    }

    /// Whether a search of the section reaches an entry of this name.
    pub(crate) fn holds(&self, dn: &Dn) -> bool {
        let reaches = |base: &Dn| match self.scope {
            Scope::Base => dn == base,
            Scope::One => dn.parent().is_some_and(|parent| parent == *base),
            Scope::Subtree => dn.is_within(base),
        };
        self.base_dns.iter().any(|base| Dn::parse(base).is_ok_and(|base| reaches(&base)))
    }

    /// The groups, with or without the members.
    pub(crate) fn groups(
        config: &'a DirectoryConfig,
        flavour: Flavour,
        names: &Arc<Names>,
        members: bool,
    ) -> Option<Self> {
        let groups = config.group_entries()?;
        let (attribute, own) = (external_id_attribute(config, flavour), flavour.external_id_attribute());
        let ids = Ids { attribute, own: (names.key(attribute) != names.key(own)).then_some(own) };
        let listed = if members { member_attributes(config, flavour, names) } else { Vec::new() };
        let mut selection = Selection::new(flavour, Phase::Groups, names, ids, &groups.attributes, None, &listed);
        let nobody = config.write.as_ref().and_then(|write| write.placeholder_member.as_deref());
        selection.nobody = nobody.and_then(|dn| Dn::parse(dn).ok()).map(|dn| dn.to_string().into());
        Some(Self {
            requested: requested(&selection, flavour, Phase::Groups),
            phase: Phase::Groups,
            base_dns: &groups.base_dns,
            scope: groups.scope,
            filter: groups.filter.as_deref().unwrap_or(flavour.group_filter()).into(),
            selection,
        })
    }
}

/// Where groups list their members, and how. What the configuration names is all that is read; without it, each class's
/// own attribute is.
pub(crate) fn member_attributes<'a>(
    config: &'a DirectoryConfig,
    flavour: Flavour,
    names: &Names,
) -> Vec<(&'a str, Naming)> {
    let by_uid = |name: &str| names.key(name) == names.key("memberUid") && config.member_form() == MemberForm::Dn;
    let naming = |name: &str| if by_uid(name) { Naming::ByUid } else { Naming::Kept };
    let configured = config.groups.as_ref().and_then(|groups| groups.member_attribute.as_deref());
    match (configured, flavour) {
        (None, Flavour::ActiveDirectory) => vec![("member", Naming::Kept)],
        (Some(name), Flavour::ActiveDirectory) => vec![(name, naming(name))],
        (None, _) => MEMBER_ATTRIBUTES.map(|name| (name, naming(name))).to_vec(),
        (Some(name), _) => {
            let others = MEMBER_ATTRIBUTES.into_iter().filter(|other| names.key(other) != names.key(name));
            std::iter::once((name, naming(name))).chain(others.map(|other| (other, Naming::Unread))).collect()
        }
    }
}

fn requested(selection: &Selection, flavour: Flavour, phase: Phase) -> Vec<String> {
    let mut requested = selection.requested().to_vec();
    let own = selection.off_by.as_ref().map(|by| by.attribute.as_str());
    for name in kinds::attributes(flavour, phase).iter().copied().chain(own) {
        if !requested.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            requested.push(name.to_owned());
        }
    }
    requested
}

/// The attributes that may hold the external id of an entry, the first before the others.
pub(crate) fn external_id_attributes(config: &DirectoryConfig, flavour: Flavour, phase: Phase) -> Vec<&str> {
    let (attribute, own) = (external_id_attribute(config, flavour), flavour.external_id_attribute());
    match phase {
        Phase::Groups if !attribute.eq_ignore_ascii_case(own) => vec![attribute, own],
        _ => vec![attribute],
    }
}

pub(crate) fn external_id_attribute(config: &DirectoryConfig, flavour: Flavour) -> &str {
    config.external_id_attribute.as_deref().unwrap_or(flavour.external_id_attribute())
}

//! What is searched: the users' section and the groups', with what the configuration leaves to the flavour filled in.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{DirectoryConfig, Scope};
use crate::error::Phase;
use crate::flavour::Flavour;
use crate::names::Names;
use crate::record::Selection;

/// One section of the configuration, ready to be searched.
pub(crate) struct Section<'a> {
    pub(crate) phase: Phase,
    pub(crate) base_dns: &'a [String],
    pub(crate) scope: Scope,
    pub(crate) filter: Cow<'a, str>,
    pub(crate) selection: Selection,
}

impl<'a> Section<'a> {
    /// Users first, then groups where there are any.
    pub(crate) fn all(config: &'a DirectoryConfig, flavour: Flavour, names: &Arc<Names>) -> Vec<Self> {
        let mut sections = vec![Self::users(config, flavour, names)];
        sections.extend(Self::groups(config, flavour, names, true));
        sections
    }

    pub(crate) fn users(config: &'a DirectoryConfig, flavour: Flavour, names: &Arc<Names>) -> Self {
        let users = &config.users;
        Self {
            phase: Phase::Users,
            base_dns: &users.base_dns,
            scope: users.scope,
            filter: users.filter.as_deref().unwrap_or(flavour.user_filter()).into(),
            selection: Selection::new(
                flavour,
                Phase::Users,
                names,
                external_id_attribute(config, flavour),
                &users.attributes,
                Some(&users.unique_attribute),
                None,
            ),
        }
    }

    /// The groups, with or without the members.
    pub(crate) fn groups(
        config: &'a DirectoryConfig,
        flavour: Flavour,
        names: &Arc<Names>,
        members: bool,
    ) -> Option<Self> {
        let groups = config.groups.as_ref()?;
        Some(Self {
            phase: Phase::Groups,
            base_dns: &groups.base_dns,
            scope: groups.scope,
            filter: groups.filter.as_deref().unwrap_or(flavour.group_filter()).into(),
            selection: Selection::new(
                flavour,
                Phase::Groups,
                names,
                external_id_attribute(config, flavour),
                &groups.attributes,
                None,
                members.then_some(groups.member_attribute.as_str()),
            ),
        })
    }
}

pub(crate) fn external_id_attribute(config: &DirectoryConfig, flavour: Flavour) -> &str {
    config.external_id_attribute.as_deref().unwrap_or(flavour.external_id_attribute())
}

//! What the configuration leaves open, and what is used in its place.

use super::{Diagnosis, Finding, chain};
use crate::config::DirectoryConfig;
use crate::connection::Servers;
use crate::flavour::Flavour;
use crate::root_dse::RootDse;

impl<'d> Diagnosis<'d> {
    /// What the configuration leaves open, and what it is.
    pub(super) fn defaults(&mut self, servers: &'d Servers, root: &RootDse) -> Option<()> {
        let open = !servers.written().is_complete();
        if let Err(error) = servers.complete(root) {
            let local = chain(&error);
            self.note("defaults", Finding::failed(&error).locally(local));
            return None;
        }
        self.config = servers.config();
        if open {
            self.note("defaults", judge(servers.written(), self.config, root.flavour()));
        }
        Some(())
    }
}

/// The base DNs are for this machine's screen only.
fn judge(written: &DirectoryConfig, complete: &DirectoryConfig, flavour: Flavour) -> Finding {
    let (users, groups) = (&written.users, written.group_entries());
    let mut local = Vec::new();
    let mut add = |key: &str, is_open: bool, value: String| {
        if is_open {
            local.push(format!("{key} = {value}"));
        }
    };
    add("users.base_dns", users.base_dns.is_empty(), complete.users.base_dns.join(" and "));
    add("users.filter", users.filter.is_none(), flavour.user_filter().to_owned());
    add("users.unique_attribute", users.unique_attribute.is_empty(), complete.users.unique_attribute.clone());
    add("users.attributes", users.attributes.is_empty(), complete.users.attributes.join(", "));
    if let Some(found) = complete.group_entries() {
        let is_open = |of: fn(&crate::config::GroupsConfig) -> bool| groups.is_none_or(of);
        add("groups.base_dns", is_open(|it| it.base_dns.is_empty()), found.base_dns.join(" and "));
        add("groups.filter", is_open(|it| it.filter.is_none()), flavour.group_filter().to_owned());
        add("groups.attributes", groups.is_none(), found.attributes.join(", "));
    }
    let keys: Vec<&str> = local.iter().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
    let detail = format!("not in the file, and chosen by the server's kind: {}", keys.join(", "));
    Finding::passed(detail).locally(format!("not in the file, and used: {}", local.join("; ")))
}

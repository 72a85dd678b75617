//! Whether the bind account may write what `[directory.write]` is for. Active Directory says what one may; OpenLDAP judges
//! changes without making them. Others are not asked.

use std::sync::Arc;

use bytes::Bytes;
use postern_dn::Dn;

use super::{CheckState, Diagnosis, Finding};
use crate::config::{DisableBy, Scope, WriteConfig};
use crate::connection::{Connection, Servers};
use crate::error::{Error, Step};
use crate::filter;
use crate::flavour::Flavour;
use crate::names::Names;
use crate::raw_entry::RawEntry;
use crate::root_dse::RootDse;
use crate::search::Query;
use crate::sections::Section;

const ANY: &str = "(objectClass=*)";
/// insufficientAccessRights
const NO_RIGHT: u32 = 50;
/// unavailableCriticalExtension
const NO_SUCH_CONTROL: u32 = 12;
/// What every account's state and name are kept in (MS-ADTS §3.1.1.4.5.18: `allowedAttributesEffective`).
const STATE: [&str; 5] = ["userAccountControl", "accountExpires", "pwdLastSet", "lockoutTime", "cn"];
const ACTIVE_DIRECTORY: &str = "grant what the switches need, on the container only: dsacls CONTAINER /I:T /G \"ACCOUNT:CCDC;user\" (create and \
     delete users), /I:S /G \"ACCOUNT:RPWP;ATTRIBUTE;user\" for each attribute (name and cn for renaming), /I:S /G \
     \"ACCOUNT:CA;Reset Password;user\", /I:T /G \"ACCOUNT:CCDC;group\" and /I:S /G \"ACCOUNT:RPWP;ATTRIBUTE;group\" \
     for member, description, name and cn";
const OPENLDAP: &str = "grant what the switches need, on the containers only: access to dn.subtree=\"CONTAINER\" attrs=userPassword by \
     dn.exact=\"BIND DN\" =w by anonymous auth, then access to dn.subtree=\"CONTAINER\" by dn.exact=\"BIND DN\" write by \
     * break";

/// What was found of the rights.
#[derive(Default)]
struct Rights {
    may: Vec<String>,
    may_not: Vec<String>,
}

impl Rights {
    /// By the result code of a change that was only judged. A server that does not judge says nothing.
    fn judged(&mut self, code: u32, what: impl Into<String>) {
        if code != NO_SUCH_CONTROL {
            self.note(code != NO_RIGHT, what);
        }
    }

    fn note(&mut self, may: bool, what: impl Into<String>) {
        if may { &mut self.may } else { &mut self.may_not }.push(what.into());
    }
}

impl Diagnosis<'_> {
    pub(super) async fn writing(&mut self, servers: &Servers, root: &RootDse, names: &Arc<Names>) -> Option<()> {
        let Some(write) = &self.config.write else { return Some(()) };
        if self.config.policy.read_only {
            self.note("writing", Finding::passed("the site's policy lets nothing be written (read_only)"));
            return Some(());
        }
        let connection = servers.open().await;
        let mut connection = self.need("writing", connection)?;
        let (rights, cure) = match root.flavour() {
            Flavour::ActiveDirectory => (self.effective(&mut connection, write, names).await, ACTIVE_DIRECTORY),
            Flavour::OpenLdap => (self.rehearsed(&mut connection, write, names).await, OPENLDAP),
            _ => (Ok(Rights::default()), OPENLDAP),
        };
        let rights = self.need("writing", rights)?;
        let finding = match rights.may_not.as_slice() {
            [] if rights.may.is_empty() => Finding::passed("this server does not say what the bind account may write"),
            [] => Finding::passed(format!(
                "the bind account may {}; whether it may delete and set passwords cannot be seen",
                rights.may.join(", ")
            )),
            missing => Finding::new(CheckState::Warned, format!("the bind account may not {}", missing.join(", ")))
                .cured_by(cure),
        };
        self.note("writing", finding);
        Some(())
    }

    /// What Active Directory says by itself, of the containers, of one user and of one group.
    async fn effective(
        &self,
        connection: &mut Connection,
        write: &WriteConfig,
        names: &Arc<Names>,
    ) -> Result<Rights, Error> {
        let mut rights = Rights::default();
        for (container, class, what) in
            [(&write.user_container, "user", "create users"), (&write.group_container, "group", "create groups")]
        {
            let Some(container) = container else { continue };
            let classes = values(connection, container, "allowedChildClassesEffective").await?;
            rights.note(has(&classes, class), what);
        }
        let flavour = Flavour::ActiveDirectory;
        let users = Section::users(self.config, flavour, names);
        if let Some(dn) = sample(connection, &users, write.user_container.as_deref(), flavour).await? {
            let may = values(connection, &dn, "allowedAttributesEffective").await?;
            for name in STATE.into_iter().chain(self.config.users.attributes.iter().map(String::as_str)) {
                if !is_the_servers(name) && !rights.may.iter().chain(&rights.may_not).any(|known| known.ends_with(name))
                {
                    rights.note(has(&may, name), format!("write {name}"));
                }
            }
        }
        let groups = Section::groups(self.config, flavour, names, false);
        if let Some(section) = groups
            && let Some(dn) = sample(connection, &section, write.group_container.as_deref(), flavour).await?
        {
            rights.note(has(&values(connection, &dn, "allowedAttributesEffective").await?, "member"), "write members");
        }
        Ok(rights)
    }

    /// What OpenLDAP would do: a new entry, and an existing one that gets the name and the values that it has.
    async fn rehearsed(
        &self,
        connection: &mut Connection,
        write: &WriteConfig,
        names: &Arc<Names>,
    ) -> Result<Rights, Error> {
        let mut rights = Rights::default();
        if let Some(container) = write.user_container.as_ref().and_then(|text| Dn::parse(text).ok()) {
            let dn = container.child("cn", "postern-agent check").to_string();
            let entry = [("objectClass", "person"), ("cn", "postern-agent check"), ("sn", "check")];
            rights.judged(connection.rehearse_add(&dn, &entry).await?, "create users");
        }
        let flavour = Flavour::OpenLdap;
        let users = Section::users(self.config, flavour, names);
        if let Some(dn) = sample(connection, &users, write.user_container.as_deref(), flavour).await? {
            let rdn = Dn::parse(&dn).ok().and_then(|dn| dn.leaf());
            if let Some(rdn) = rdn {
                rights.judged(connection.rehearse_rename(&dn, &rdn.to_string()).await?, "rename users");
            }
            let switch = switch_attribute(write);
            for name in self.config.users.attributes.iter().map(String::as_str).chain(switch) {
                if is_the_servers(name) {
                    continue;
                }
                let now = values(connection, &dn, name).await?;
                let code = connection.rehearse_modify(&dn, name, &now).await?;
                rights.judged(code, format!("write {name}"));
            }
        }
        let groups = Section::groups(self.config, flavour, names, false);
        if let Some(section) = groups
            && let Some(dn) = sample(connection, &section, write.group_container.as_deref(), flavour).await?
        {
            let now = values(connection, &dn, "description").await?;
            let code = connection.rehearse_modify(&dn, "description", &now).await?;
            rights.judged(code, "write groups");
        }
        Ok(rights)
    }
}

fn switch_attribute(write: &WriteConfig) -> Option<&str> {
    match write.disable.as_ref()? {
        DisableBy::PasswordPolicy => Some("pwdAccountLockedTime"),
        DisableBy::EndTime => Some("pwdEndTime"),
        DisableBy::Shell => Some("loginShell"),
        DisableBy::Attribute { name, .. } => Some(name),
    }
}

/// Attributes that the server keeps, and that nobody writes.
fn is_the_servers(name: &str) -> bool {
    [
        "objectGUID",
        "objectSid",
        "memberOf",
        "whenCreated",
        "whenChanged",
        "distinguishedName",
        "entryUUID",
        "uSNChanged",
    ]
    .iter()
    .any(|known| known.eq_ignore_ascii_case(name))
}

fn has(values: &[Bytes], name: &str) -> bool {
    values.iter().any(|value| value.eq_ignore_ascii_case(name.as_bytes()))
}

/// The values of one attribute of an entry; none where it does not show.
async fn values(connection: &mut Connection, dn: &str, name: &str) -> Result<Vec<Bytes>, Error> {
    match connection.read_entry(dn, ANY, &[name.to_owned()], Step::Search).await {
        Ok(Some(message)) => {
            Ok(RawEntry::parse(&message).ok().and_then(|entry| entry.values_of(name).ok()).unwrap_or_default())
        }
        Ok(None) | Err(Error::Refused { code: 32, .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The first entry of a section that is no administrator's; where there is a container for new ones, in it: elsewhere the
/// bind account needs no right.
async fn sample(
    connection: &mut Connection,
    section: &Section<'_>,
    container: Option<&str>,
    flavour: Flavour,
) -> Result<Option<String>, Error> {
    let condition = match flavour {
        Flavour::ActiveDirectory => filter::and(&section.filter, "(!(adminCount=1))"),
        _ => section.filter.to_string(),
    };
    let attributes = ["1.1".to_owned()];
    let bases: Vec<&str> = match container {
        Some(container) => vec![container],
        None => section.base_dns.iter().map(String::as_str).collect(),
    };
    for base_dn in bases {
        let scope = if container.is_some() { Scope::Subtree } else { section.scope };
        let query = Query { base_dn, scope, filter: condition.as_str(), attributes: &attributes, page_size: 1 };
        if let Some(message) = connection.first_entry(query).await? {
            return Ok(RawEntry::parse(&message).ok().map(|entry| entry.dn().to_owned()));
        }
    }
    Ok(None)
}

//! The part of the diagnosis that looks at real entries: two full pages by the filter, with everything that an account
//! needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::named_groups::{self, Named};
use super::{CheckState, Diagnosis, Finding};
use crate::config::Scope;
use crate::connection::{Connection, Servers};
use crate::entry::{Entry, Unusable};
use crate::error::Error;
use crate::flavour::Flavour;
use crate::guard::is_reference;
use crate::names::Names;
use crate::root_dse::RootDse;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// So many users are looked up by their external id, which must be nobody else's.
const TWINS: usize = 10;

/// How many pages are read: the second shows that the server goes on.
const PAGES: usize = 2;

/// What two full pages of entries look like: as an import would read them, so that every limit is met here first.
#[derive(Default)]
pub(super) struct Sample {
    total: usize,
    /// DN and external id of the first ones.
    pub(super) ids: Vec<(String, String)>,
    unusable: Vec<Unusable>,
    nameless: usize,
    /// The DN of the first without a login.
    first_nameless: String,
    /// The listed attributes that some entry has.
    seen: BTreeSet<Arc<str>>,
    referrals: u64,
    /// The groups that they name.
    named: Named,
}

impl Sample {
    fn note(&mut self, entry: Entry) {
        self.total += 1;
        self.named.note(&entry.members);
        if self.ids.len() < TWINS {
            self.ids.push((entry.dn.clone(), entry.external_id.clone()));
        }
        if entry.unique_value.is_none() {
            self.nameless += 1;
            if self.nameless == 1 {
                self.first_nameless = entry.dn;
            }
        }
        for (name, _) in &entry.attributes {
            if !self.seen.contains(name) {
                self.seen.insert(Arc::clone(name));
            }
        }
    }
}

impl Diagnosis<'_> {
    pub(super) async fn paging_and_users(
        &mut self,
        servers: &Servers,
        connection: &mut Connection,
        root: &RootDse,
        names: &Arc<Names>,
    ) -> Option<()> {
        let section = Section::users(self.config, root.flavour(), names);
        let sample = match sample(connection, &section, self.config.page_size).await {
            Ok(sample) => sample,
            Err(error) => {
                let failed = if is_about_paging(&error) { "paging" } else { "users" };
                if failed == "users" {
                    self.note("paging", self.paging(root, 0));
                }
                self.note(failed, Finding::failed(&error));
                return None;
            }
        };
        self.note("paging", self.paging(root, sample.total));
        let finding = self.judge_users(&sample, &section);
        let twins = self.twins(servers, &section, root, names, &sample).await;
        let twins = self.need("users", twins)?;
        self.note("users", twins.unwrap_or(finding));
        let finding = if servers.written().users.attributes.is_empty() {
            self.usual_attributes(&sample, names)
        } else {
            self.judge_attributes(&sample, names)
        };
        self.note("attributes", finding);
        if let Some(attribute) = self.config.group_attribute() {
            let finding = named_groups::judge(attribute, names.in_schema(attribute), &sample.named, sample.total);
            self.note("groups", finding);
        }
        Some(())
    }

    fn paging(&self, root: &RootDse, read: usize) -> Finding {
        let page_size = self.config.page_size;
        if read > usize::try_from(page_size).unwrap_or(usize::MAX) {
            Finding::passed(format!("a second page was read, {page_size} entries each"))
        } else if root.announces_paging() || read > 0 {
            Finding::passed("supported")
        } else {
            Finding::new(CheckState::Warned, "the server does not announce it")
                .cured_by("allow the simple paged results control (RFC 2696)")
        }
    }

    fn judge_users(&self, sample: &Sample, section: &Section<'_>) -> Finding {
        let total = sample.total;
        if total == 0 {
            return Finding::new(CheckState::Failed, "no entry below users.base_dns matches users.filter")
                .locally(format!("no entry below {} matches {}", section.base_dns.join(" or "), section.filter))
                .cured_by(
                    "check users.base_dns, users.scope and users.filter, and that the bind account may read the users",
                );
        }
        if let Some(first) = sample.unusable.first() {
            let (count, attribute) = (sample.unusable.len(), section.selection.external_id_attribute());
            return Finding::new(
                CheckState::Failed,
                format!("{count} of {total} users have no external id ({attribute})"),
            )
            .locally(format!("{count} of {total} users cannot be used; {}: {}", first.dn, first.reason))
            .cured_by("let the bind account read that attribute, or set external_id_attribute");
        }
        if sample.nameless > 0 {
            let (count, attribute) = (sample.nameless, &self.config.users.unique_attribute);
            let state = if count == total { CheckState::Failed } else { CheckState::Warned };
            return Finding::new(state, format!("{count} of {total} users have no {attribute}"))
                .locally(format!("{count} of {total} users have no {attribute}, among them {}", sample.first_nameless))
                .cured_by("choose a users.unique_attribute that every user has, or narrow users.filter");
        }
        let mut detail = format!("{total} looked at; unique and external ids present");
        if sample.referrals > 0 {
            detail.push_str("; the server also refers to other servers, which the agent does not follow");
        }
        Finding::passed(detail)
    }

    /// The names of attributes leave the site with every import: these are no secret.
    fn judge_attributes(&self, sample: &Sample, names: &Names) -> Finding {
        let users = &self.config.users;
        let listed = users.attributes.iter().filter(|name| !names.stays(name)).map(String::as_str);
        let (unknown, known): (Vec<&str>, Vec<&str>) =
            listed.chain([users.unique_attribute.as_str()]).partition(|name| names.in_schema(name) == Some(false));
        let mut absent: Vec<&str> = known.into_iter().filter(|name| !sample.seen.contains(*name)).collect();
        // The login need not be listed, and who has none was counted before.
        absent.retain(|name| *name != users.unique_attribute);
        if !unknown.is_empty() {
            let said = format!("the server's schema has no attribute {}", unknown.join(", "));
            return Finding::new(CheckState::Warned, said)
                .cured_by("correct the spelling in users.attributes and users.unique_attribute");
        }
        if !absent.is_empty() && sample.total > 0 {
            let said = format!("listed, but on none of {} users: {}", sample.total, absent.join(", "));
            return Finding::new(CheckState::Warned, said).cured_by(
                "let the bind account read these attributes, or remove them from users.attributes if nobody has them",
            );
        }
        Finding::passed(format!("{} listed, each in the schema and on some user", users.attributes.len()))
    }

    /// Nobody has listed them: what nobody has is no mistake.
    fn usual_attributes(&self, sample: &Sample, names: &Names) -> Finding {
        let attributes = self.config.users.attributes.iter().filter(|name| !names.stays(name));
        let (on, off): (Vec<&str>, Vec<&str>) =
            attributes.map(String::as_str).partition(|name| sample.seen.contains(*name));
        let mut detail =
            format!("the usual ones; on some user: {}", if on.is_empty() { "none".to_owned() } else { on.join(", ") });
        if !off.is_empty() {
            detail = format!("{detail}; on none of {}: {}", sample.total, off.join(", "));
        }
        Finding::passed(detail)
    }

    pub(super) async fn groups(&mut self, servers: &Servers, flavour: Flavour, names: &Arc<Names>) -> Option<()> {
        let section = Section::groups(self.config, flavour, names, false)?;
        // The sample of users may have left its search in the middle.
        let connection = servers.open().await;
        let mut connection = self.need("groups", connection)?;
        let sample = sample(&mut connection, &section, self.config.page_size).await;
        let sample = self.need("groups", sample)?;
        let finding = match (sample.total, sample.unusable.first()) {
            (0, _) => Finding::new(CheckState::Warned, "no entry below groups.base_dns matches groups.filter")
                .locally(format!("no entry below {} matches {}", section.base_dns.join(" or "), section.filter))
                .cured_by("check groups.base_dns, groups.scope and groups.filter"),
            (total, Some(first)) => Finding::new(
                CheckState::Failed,
                format!("{} of {total} groups have no external id", sample.unusable.len()),
            )
            .locally(format!("{}: {}", first.dn, first.reason))
            .cured_by("let the bind account read the external id attribute, or set external_id_attribute"),
            (total, None) => Finding::passed(format!("{total} looked at; external ids present")),
        };
        self.note("groups", finding);
        Some(())
    }
}

/// Whether a limit on pages, or on what may be read of them, was met.
fn is_about_paging(error: &Error) -> bool {
    match error {
        Error::NoPaging | Error::Refused { code: 3 | 4 | 11 | 12, .. } => true,
        Error::Refused { code: 53, diagnostic, .. } => diagnostic.to_ascii_lowercase().contains("page"),
        _ => false,
    }
}

async fn sample(connection: &mut Connection, section: &Section<'_>, page_size: u32) -> Result<Sample, Error> {
    let never = CancellationToken::new();
    let enough = usize::try_from(page_size).unwrap_or(usize::MAX).saturating_mul(PAGES);
    let mut sample = Sample::default();
    let mut scratch = Vec::new();
    for base_dn in section.base_dns {
        let scope: Scope = section.scope;
        let attributes = section.requested.as_slice();
        let query = Query { base_dn, scope, filter: &section.filter, attributes, page_size };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in &batch {
                if is_reference(message) {
                    sample.referrals += 1;
                    continue;
                }
                match section.selection.select(message, &mut scratch) {
                    Ok(selected) => sample.note(selected.entry),
                    Err(unusable) => {
                        sample.total += 1;
                        sample.unusable.push(unusable);
                    }
                }
            }
            if sample.total >= enough {
                return Ok(sample);
            }
        }
    }
    Ok(sample)
}

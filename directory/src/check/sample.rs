//! The part of the diagnosis that looks at real entries: a few by the filter, with everything that an account needs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Diagnosis, Finding, State};
use crate::config::Scope;
use crate::connection::{Connection, Servers};
use crate::error::Error;
use crate::flavour::Flavour;
use crate::guard::is_reference;
use crate::names::Names;
use crate::record::{Record, Unusable};
use crate::root_dse::RootDse;
use crate::search::{PagedSearch, Query};
use crate::sections::Section;

/// How many entries to look at.
const SAMPLE: usize = 10;

/// Half of the sample: the second half then proves that a second page comes.
const SAMPLE_PAGE: u32 = 5;

/// What a few entries look like.
#[derive(Default)]
struct Sample {
    records: Vec<Record>,
    unusable: Vec<Unusable>,
    referrals: u64,
}

impl Sample {
    fn len(&self) -> usize {
        self.records.len() + self.unusable.len()
    }
}

impl Diagnosis<'_> {
    pub(super) async fn paging_and_users(
        &mut self,
        connection: &mut Connection,
        root: &RootDse,
        names: &Arc<Names>,
    ) -> Option<()> {
        let section = Section::users(self.config, root.flavour(), names);
        let sample = match sample(connection, &section).await {
            Ok(sample) => sample,
            Err(error) => {
                let failed = if matches!(error, Error::NoPaging) { "paging" } else { "users" };
                if failed == "users" {
                    self.note("paging", paging(root, 0));
                }
                self.note(failed, Finding::failed(&error));
                return None;
            }
        };
        self.note("paging", paging(root, sample.len()));
        let finding = self.judge_users(&sample, &section);
        self.note("users", finding);
        Some(())
    }

    fn judge_users(&self, sample: &Sample, section: &Section<'_>) -> Finding {
        let total = sample.len();
        if total == 0 {
            return Finding::new(State::Failed, "no entry below users.base_dns matches users.filter")
                .locally(format!("no entry below {} matches {}", section.base_dns.join(" or "), section.filter))
                .cured_by(
                    "check users.base_dns, users.scope and users.filter, and that the bind account may read the users",
                );
        }
        let nameless: Vec<&str> = sample
            .records
            .iter()
            .filter(|record| record.unique_value.is_none())
            .map(|record| record.dn.as_str())
            .collect();
        if let Some(first) = sample.unusable.first() {
            let (count, attribute) = (sample.unusable.len(), section.selection.external_id_attribute());
            return Finding::new(State::Failed, format!("{count} of {total} users have no external id ({attribute})"))
                .locally(format!("{count} of {total} users cannot be used; {}: {}", first.dn, first.reason))
                .cured_by("let the bind account read that attribute, or set external_id_attribute");
        }
        if let Some(first) = nameless.first() {
            let (count, attribute) = (nameless.len(), &self.config.users.unique_attribute);
            let state = if count == total { State::Failed } else { State::Warning };
            return Finding::new(state, format!("{count} of {total} users have no {attribute}"))
                .locally(format!("{count} of {total} users have no {attribute}, among them {first}"))
                .cured_by("choose a users.unique_attribute that every user has, or narrow users.filter");
        }
        let mut detail = format!("{total} looked at; unique and external ids present");
        if sample.referrals > 0 {
            detail.push_str("; the server also refers to other servers, which is not followed");
        }
        Finding::passed(detail)
    }

    pub(super) async fn groups(&mut self, servers: &Servers, flavour: Flavour, names: &Arc<Names>) -> Option<()> {
        let section = Section::groups(self.config, flavour, names, false)?;
        // The sample of users may have left its search in the middle.
        let connection = servers.open().await;
        let mut connection = self.need("groups", connection)?;
        let sample = sample(&mut connection, &section).await;
        let sample = self.need("groups", sample)?;
        let finding = match (sample.len(), sample.unusable.first()) {
            (0, _) => Finding::new(State::Warning, "no entry below groups.base_dns matches groups.filter")
                .locally(format!("no entry below {} matches {}", section.base_dns.join(" or "), section.filter))
                .cured_by("check groups.base_dns, groups.scope and groups.filter"),
            (total, Some(first)) => {
                Finding::new(State::Failed, format!("{} of {total} groups have no external id", sample.unusable.len()))
                    .locally(format!("{}: {}", first.dn, first.reason))
                    .cured_by("let the bind account read the external id attribute, or set external_id_attribute")
            }
            (total, None) => Finding::passed(format!("{total} looked at; external ids present")),
        };
        self.note("groups", finding);
        Some(())
    }
}

fn paging(root: &RootDse, read: usize) -> Finding {
    if read > SAMPLE_PAGE as usize {
        Finding::passed("a second page was read")
    } else if root.announces_paging() || read > 0 {
        Finding::passed("supported")
    } else {
        Finding::new(State::Warning, "the server does not announce it")
            .cured_by("allow the simple paged results control (RFC 2696)")
    }
}

async fn sample(connection: &mut Connection, section: &Section<'_>) -> Result<Sample, Error> {
    let never = CancellationToken::new();
    let mut sample = Sample::default();
    let mut scratch = Vec::new();
    for base_dn in section.base_dns {
        let scope: Scope = section.scope;
        let attributes = section.selection.requested();
        let query = Query { base_dn, scope, filter: &section.filter, attributes, page_size: SAMPLE_PAGE };
        let mut search = PagedSearch::new(connection, query, &never);
        while let Some(batch) = search.next().await? {
            for message in &batch {
                if is_reference(message) {
                    sample.referrals += 1;
                    continue;
                }
                match section.selection.select(message, &mut scratch) {
                    Ok(selected) => sample.records.push(selected.record),
                    Err(unusable) => sample.unusable.push(unusable),
                }
            }
            if sample.len() >= SAMPLE {
                return Ok(sample);
            }
        }
    }
    Ok(sample)
}

//! Conflicts: accounts that wait for a user or a user name, the users that they may belong to, and decisions about them.

use postern_store::JobFilter;
use serde::Deserialize as _;
use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::again::again;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::pages::{Listed, chained, listed};
use super::rights::Right;
use super::{known_directories, resolve};
use crate::intake::candidates::{self, Candidates};
use crate::intake::resolve::{self as decisions, Choice};
use crate::intake::result::ImportResult;
use crate::records::{AccountId, Conflict, DirectoryId, IgnoredAccount, JobState, Page, PageRequest, UserRow};

/// Jobs among which the last import of a directory is sought.
const MOST_JOBS: u32 = 20;

/// Read access to conflicts.
#[derive(Debug)]
pub struct Conflicts<'s>(Access<'s>);

/// Access to decide conflicts.
#[derive(Debug)]
pub struct ConflictDecisions<'s>(Access<'s>);

/// Which conflicts to list. Unset: all.
#[derive(Clone, Copy, Debug)]
pub struct ConflictFilter {
    directory: Option<DirectoryId>,
}

impl Services {
    /// Opens the conflicts.
    pub fn conflicts<'s>(&'s self, actor: &'s Actor) -> Result<Conflicts<'s>> {
        self.open(actor, Right::ReadPeople).map(Conflicts)
    }

    /// Opens the conflicts, to decide them.
    pub fn decide_conflicts<'s>(&'s self, actor: &'s Actor) -> Result<ConflictDecisions<'s>> {
        self.open(actor, Right::DecideConflicts).map(ConflictDecisions)
    }
}

/// A conflict, with the users that the account may belong to.
#[derive(Clone, Debug)]
pub struct ConflictDetail {
    /// The conflict.
    pub conflict: Conflict,
    /// The user as the account describes it. `None`: the account cannot be read.
    pub wanted: Option<UserRow>,
    /// The users, each with the field that led to it: `user_name`, or that of a matching rule.
    pub candidates: Vec<(UserRow, String)>,
}

/// What came of a decision.
#[derive(Clone, Debug)]
pub enum Decided {
    /// The account belongs to this user.
    User(Box<UserRow>),
    /// The account has no user.
    NoUser,
}

impl Conflicts<'_> {
    /// A filter by the name or id of a directory.
    pub async fn filter(&self, directory: Option<&str>) -> Result<ConflictFilter> {
        Ok(ConflictFilter { directory: known_directories::wanted(self.0, directory).await? })
    }

    /// Conflicts, directory by directory.
    pub async fn list(&self, filter: ConflictFilter, request: &PageRequest) -> Result<Listed<ConflictDetail>> {
        let Listed { page, total } = self.plain(filter, request).await?;
        Ok(Listed { page: Page { items: self.details(page.items).await?, next: page.next }, total })
    }

    /// Accounts that stay without a user because an administrator wants it so.
    pub async fn ignored(&self, filter: ConflictFilter, request: &PageRequest) -> Result<Page<IgnoredAccount>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let directories = known_directories::one_or_all(self.0, filter.directory).await?;
        let names: Vec<_> = directories.iter().map(ToString::to_string).collect();
        let page = chained(&names, request, |number, request| {
            let directory = directories[number];
            async move { store.list_ignored(organization, directory, &request).await }
        });
        page.await
    }

    async fn plain(&self, filter: ConflictFilter, request: &PageRequest) -> Result<Listed<Conflict>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let directories = known_directories::one_or_all(self.0, filter.directory).await?;
        let names: Vec<_> = directories.iter().map(ToString::to_string).collect();
        let page = chained(&names, request, |number, request| {
            let directory = directories[number];
            async move { store.list_conflicts(organization, directory, &request).await }
        });
        listed(request, page.await?, store.total_conflicts(organization, &directories)).await
    }

    /// The conflict of the account of this id, or the only one about this user name.
    pub async fn get(&self, named: &str) -> Result<ConflictDetail> {
        let id = resolve::conflict(self.0, named).await?;
        let found = self.0.store().get_conflict(self.0.organization(), id).await?;
        let found = self.details(found.into_iter().collect()).await?.pop();
        found.ok_or_else(|| refused(decisions::Error::NoConflict))
    }

    /// The conflicts with their users, directory by directory: each takes a few queries, however many conflicts it has.
    async fn details(&self, conflicts: Vec<Conflict>) -> Result<Vec<ConflictDetail>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let mut details = Vec::with_capacity(conflicts.len());
        for of_one in conflicts.chunk_by(|one, next| one.account.target == next.account.target) {
            let waiting: Vec<_> = of_one.iter().map(|one| (&one.account, one.name_key.as_str())).collect();
            let directory = match of_one.first() {
                Some(first) => store.get_directory(organization, first.account.target.directory()).await?,
                None => None,
            };
            let found = match &directory {
                Some(directory) => candidates::of(store, directory, &waiting, self.0.now()).await?,
                None => waiting.iter().map(|_| Candidates::default()).collect(),
            };
            details.extend(of_one.iter().zip(found).map(|(conflict, Candidates { wanted, users })| ConflictDetail {
                conflict: conflict.clone(),
                wanted,
                candidates: users,
            }));
        }
        Ok(details)
    }
}

impl ConflictDecisions<'_> {
    /// Decides a conflict.
    pub async fn decide(&self, named: &str, choice: Choice) -> Result<Decided> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let id = resolve::conflict(self.0, named).await?;
        let account = store.get_account(organization, id).await?;
        let change =
            Change::new("conflict.decided", id.as_uuid(), account.map(|account| account.dn).unwrap_or_default());
        let to = if let Choice::LinkTo(user) = choice { Some(user) } else { None };
        let recording = self.0.recording(change.after(&json!({ "choice": choice.as_str(), "user": to })));
        let by = self.0.actor().who.name();
        let once = || async {
            match decisions::run(&recording, organization, id, (choice, by), self.0.now()).await {
                Err(decisions::Error::Store(error)) => Err(Error::from(error)),
                decided => Ok(decided),
            }
        };
        let user = match again(once).await? {
            Err(decisions::Error::Present { dn }) => return Err(self.present(id, dn).await?),
            decided => decided.map_err(refused)?,
        };
        tracing::info!(%organization, by = %self.0.actor().who, account = %id, ?user, ?choice,
            "conflict.decided");
        let Some(user) = user else { return Ok(Decided::NoUser) };
        let user = store.get_user(organization, user).await?.ok_or_else(|| Error::no("user"))?;
        Ok(Decided::User(Box::new(user)))
    }

    /// Why the decision about an account is refused: the user who has the name has the account of this DN, which is not
    /// marked missing. The last import may not have seen it.
    async fn present(&self, account: AccountId, dn: String) -> Result<Error> {
        let (store, organization) = (self.0.store(), self.0.organization());
        if let Some(conflict) = store.get_conflict(organization, account).await? {
            let directory = Some(conflict.account.target.directory());
            let filter = JobFilter { state: Some(JobState::Succeeded), directory, ..JobFilter::default() };
            let jobs = store.list_jobs(organization, &filter, &PageRequest::first(MOST_JOBS)).await?.items;
            // Only an import says so.
            let mut results = jobs.into_iter().filter_map(|job| job.result);
            let last = results.find(|result| result["not_visible"].is_u64());
            let last = last.and_then(|result| ImportResult::deserialize(result).ok());
            if let Some(error) = last.and_then(|last| not_seen(&dn, &last)) {
                return Ok(error);
            }
        }
        Ok(refused(decisions::Error::Present { dn }))
    }
}

/// Says that the last import did not see an account, or may not have. `None`: it saw it.
fn not_seen(dn: &str, last: &ImportResult) -> Option<Error> {
    let sample = last.not_visible_samples.iter().find(|one| one.dn == dn);
    let all_listed = last.not_visible <= last.not_visible_samples.len() as u64;
    if sample.is_none() && all_listed {
        return None;
    }
    let seen = match sample {
        Some(_) => "The last import did not see that account and could not tell whether it is gone".to_owned(),
        None => format!("It may be one of {} accounts that the last import did not see", last.not_visible),
    };
    let cure = match sample.and_then(|sample| sample.container.as_ref()) {
        Some(container) => format!("If its entry was deleted, import with `--gone {container}`, then decide again."),
        None => {
            "The report of the last import says why. Let the agent's account read its entry or container, or, if the \
                 container was deleted, import with `--gone DN`. Then decide again."
                .to_owned()
        }
    };
    let message = format!("The user who has the name has the account {dn}. {seen}.");
    Some(Error::Conflict(Message::new(message).cure(cure)))
}

fn refused(error: decisions::Error) -> Error {
    match error {
        decisions::Error::Store(error) => error.into(),
        decisions::Error::NoConflict => Error::NotFound(
            Message::new("There is no conflict about this account.")
                .cure("`postern conflicts list` shows those that there are."),
        ),
        decisions::Error::HasUser => Error::Conflict(
            Message::new("The account has a user of its own, who only waits for the name.")
                .cure("Change the login of one of the two in the directory, then import."),
        ),
        decisions::Error::Present { dn } => Error::Conflict(
            Message::new(format!("The user who has the name is there: {dn}."))
                .cure("Change the login of one of the two in the directory, then import."),
        ),
        decisions::Error::Own => Error::Conflict(
            Message::new("The organization made the user who has the name.")
                .cure("Link the account to that user, or rename or delete the user first."),
        ),
        decisions::Error::Several => Error::Conflict(Message::new("The account may belong to several users.").cure(
            "Name the one: `postern conflicts link ACCOUNT --user USER`; `postern conflicts show ACCOUNT` lists them.",
        )),
        decisions::Error::NoCandidate => Error::Conflict(
            Message::new("Nothing says that the account belongs to this user.")
                .cure("`postern conflicts show ACCOUNT` lists the users that it may belong to."),
        ),
        decisions::Error::PresentElsewhere => Error::Conflict(
            Message::new("Another directory has the user who has the name.")
                .cure("Link the account to that user, or change the login of one of the two, then import."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::result::NotVisible;

    #[test]
    fn who_was_not_seen_in_the_last_import_is_not_called_present() {
        let anna = NotVisible {
            dn: "cn=anna,ou=a,dc=x".to_owned(),
            container: Some("ou=a,dc=x".to_owned()),
            ..NotVisible::default()
        };
        let mut last =
            ImportResult { not_visible: 1, not_visible_samples: vec![anna.clone()], ..ImportResult::default() };
        let said = format!("{:?}", not_seen(&anna.dn, &last).unwrap());
        assert!(said.contains("did not see that account") && said.contains("--gone ou=a,dc=x"), "{said}");
        assert!(not_seen("cn=bert,dc=x", &last).is_none(), "all are listed");
        last.not_visible = 30;
        let said = format!("{:?}", not_seen("cn=bert,dc=x", &last).unwrap());
        assert!(said.contains("may be one of 30 accounts"), "{said}");
        assert!(not_seen(&anna.dn, &ImportResult::default()).is_none());
    }
}

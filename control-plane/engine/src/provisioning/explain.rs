//! Why a user has the account that it has in a target, or has none: what was read, what the settings and rules make of it,
//! what is known of the account, and what would be done. Nothing is sent. Sensitive values are masked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use postern_store::{IdentityId, PageRequest, Store, Switch, TargetAccount, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::agreed::Agreed;
use super::load::Target;
use super::settings::{Assignment, Mode};
use super::wanted::{Subject, wanted};
use crate::identity::attributes::MASK;
use crate::identity::mapping::outbound::Wanted;
use crate::identity::mapping::rules::RuleOf;
use crate::intake::said::{self, SavedRules};

/// The most groups of a user that are looked at.
const MOST_GROUPS: u32 = 1_000;

/// Why a user has the account that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Id of the user.
    pub user_id: Uuid,
    /// Name of the user. `null`: it was deleted.
    pub user_name: Option<String>,
    /// Name of the directory.
    pub directory: String,
    /// Whether what differs is sent: `on`, `paused`, or `report` if only plans are carried out.
    pub state: String,
    /// What was read of the user.
    pub fields: Vec<ExplainedField>,
    /// Whether the user should have an account. `null`: what is there stays as it is.
    pub assigned: Option<bool>,
    /// Why, in a sentence.
    pub assignment: String,
    /// What each rule gives.
    pub rules: Vec<ExplainedRule>,
    /// Where the account is made. `null`: the site decides.
    pub container: Option<ExplainedRule>,
    /// The account that is known. `null`: none.
    pub account: Option<ExplainedAccount>,
    /// What has to be done. Empty: nothing.
    pub steps: Vec<ExplainedStep>,
    /// Why it failed last. `null`: it did not, or was not tried.
    pub problem: Option<String>,
    /// When it is tried again. `null`: it waits for nothing.
    pub next_try_at: Option<Timestamp>,
}

/// A field of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedField {
    /// Its name, as rules write it.
    pub name: String,
    /// Its value.
    #[schema(value_type = Object)]
    pub value: Value,
    /// The directory that says it. `null`: the organization.
    pub source: Option<String>,
}

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedRule {
    /// The attribute of the directory.
    pub attribute: String,
    /// The expression.
    pub expression: String,
    /// The fields that it reads.
    pub reads: Vec<String>,
    /// The values. None empty the attribute, or the rule fails.
    pub values: Vec<String>,
    /// Why it fails. `null`: it does not.
    pub error: Option<String>,
    /// Whether nothing is written by it: the directory itself says all that it reads, or the account has the name that
    /// `unique` has made for it.
    pub skipped: bool,
}

/// An account as it was last known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedAccount {
    /// Its id.
    pub id: Uuid,
    /// Its DN.
    pub dn: String,
    /// Its external id.
    pub external_id: String,
    /// Whether provisioning has made or adopted it. Otherwise the user comes from the directory.
    pub outbound: bool,
    /// Whether the user may sign in. `null`: the directory does not say.
    pub enabled: Option<bool>,
    /// Since when it is the account of a user who should have none any more. `null`: the user should have it.
    pub left_at: Option<Timestamp>,
    /// When it is deleted, if the user should not have it again by then. `null`: never.
    pub deleted_at: Option<Timestamp>,
    /// The values of the attributes that rules fill, as last read.
    #[schema(value_type = Object)]
    pub known: BTreeMap<String, Value>,
    /// The values that both ends had last, of attributes that were sent.
    #[schema(value_type = Object)]
    pub agreed: BTreeMap<String, Value>,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedStep {
    /// The action.
    pub action: String,
    /// The values before, by attribute. `null`: none are known.
    pub before: Option<Value>,
    /// The values after, by attribute. `null`: none.
    pub after: Option<Value>,
}

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Explains the account of a user. `None`: nothing is provisioned to the target. `Err` of the inner result: the settings
/// cannot be used, for people.
pub async fn user(
    store: &Store,
    organization: postern_store::OrganizationId,
    target: postern_store::TargetId,
    user: UserId,
    now: Timestamp,
) -> Result<Option<std::result::Result<Explanation, String>>> {
    let Some(provisioning) = store.get_provisioning(organization, target).await? else { return Ok(None) };
    let target = match Target::open(store, provisioning).await? {
        Ok(target) => target,
        Err(reason) => return Ok(Some(Err(reason))),
    };
    Ok(Some(Ok(target.explain(user, now).await?)))
}

impl Target {
    async fn explain(&self, user: UserId, now: Timestamp) -> Result<Explanation> {
        let identity = IdentityId::User(user);
        let decision = self.decide_many(&[identity], now).await?.into_iter().next().unwrap_or_default();
        let (account, name, subject) = self.look(identity, now).await?;
        let mark = self.store.get_mark(self.provisioning.organization, self.id(), identity).await?;
        let mark = mark.filter(|mark| mark.failures > 0);
        let (assigned, assignment) = self.assignment(user, &subject).await?;
        let shown = |wanted: Wanted| self.rule(wanted, &subject, account.is_some());
        let container = self.compiled.container.as_ref();
        let container = container.and_then(|rule| rule.wanted(RuleOf::Users, &subject.fields).into_iter().next());
        let step = |step: &super::change::Step| {
            let mut changes = step.before_and_after(|attribute| self.is_secret(attribute));
            let mut part = |name: &str| changes.get_mut(name).map(Value::take);
            let (before, after) = (part("before"), part("after"));
            ExplainedStep { action: step.change.action().to_owned(), before, after }
        };
        let sensitive = &self.compiled.sensitive;
        let state = match (self.provisioning.paused, self.settings.mode) {
            (true, _) => "paused",
            (false, Mode::Report) => "report",
            (false, Mode::Enforce) => "on",
        };
        Ok(Explanation {
            user_id: user.as_uuid(),
            user_name: name,
            directory: self.directory.name.clone(),
            state: state.to_owned(),
            fields: self.fields(user, &subject, sensitive, now).await?,
            assigned,
            assignment,
            rules: self.rules.wanted(RuleOf::Users, &subject.fields).into_iter().map(shown).collect(),
            container: container
                .map(|wanted| ExplainedRule { attribute: "container".to_owned(), ..self.explained(wanted) }),
            account: account.map(|account| self.account(&account, now)),
            steps: decision.steps.iter().map(step).collect(),
            problem: mark.as_ref().and_then(|mark| mark.problem.clone()),
            next_try_at: mark.map(|mark| mark.not_before).filter(|at| *at > Timestamp::UNIX_EPOCH),
        })
    }

    /// What was read of a user, each field with its source.
    async fn fields(
        &self,
        user: UserId,
        subject: &Subject,
        sensitive: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<ExplainedField>> {
        let organization = self.provisioning.organization;
        let accounts = self.store.present_accounts_of(organization, &[user]).await?;
        let rules = SavedRules::of(&self.store, &accounts, &self.directories).await?;
        let said = said::fields(&rules, &accounts, &self.directories, now);
        let name = |field: &String| {
            let directory = said.get(field)?;
            self.directories.iter().find(|known| known.id == *directory).map(|known| known.name.clone())
        };
        let fields = subject.fields.iter().map(|(field, value)| ExplainedField {
            name: field.clone(),
            value: if sensitive.contains(field) { json!(MASK) } else { value.clone() },
            source: name(field),
        });
        Ok(fields.collect())
    }

    /// Whether a user should have an account, and why.
    async fn assignment(&self, user: UserId, subject: &Subject) -> Result<(Option<bool>, String)> {
        if !subject.exists {
            return Ok((Some(false), "The user was deleted.".to_owned()));
        }
        let assigned = wanted(subject, &self.settings, &self.compiled, &self.rules, false).exists;
        let text = match &self.settings.assignment {
            Assignment::Nobody => "Nobody is assigned. Accounts that are there stay as they are.".to_owned(),
            Assignment::All => "All users are assigned.".to_owned(),
            Assignment::Groups { groups } => {
                let page = PageRequest::first(MOST_GROUPS);
                let organization = self.provisioning.organization;
                let of_user = self.store.list_effective_groups(organization, user.as_uuid(), &page).await?.items;
                let names: Vec<String> = of_user
                    .into_iter()
                    .filter(|group| groups.contains(&group.id.as_uuid()))
                    .map(|group| group.display_name)
                    .collect();
                if names.is_empty() {
                    "The user is a member of none of the assigned groups.".to_owned()
                } else {
                    format!("The user is a member of {}, which is assigned.", names.join(", "))
                }
            }
            Assignment::Condition { expression } => match assigned {
                Some(true) => format!("The condition is true: {expression}"),
                Some(false) => format!("The condition is not true: {expression}"),
                None => format!("The condition fails, so what is there stays as it is: {expression}"),
            },
        };
        Ok((assigned, text))
    }

    fn rule(&self, wanted: Wanted, subject: &Subject, has_account: bool) -> ExplainedRule {
        let from_target =
            !wanted.reads.is_empty() && wanted.reads.iter().all(|read| subject.from_target.contains(read));
        let skipped = from_target || (wanted.is_unique && has_account);
        let secret = self.is_secret(&wanted.attribute);
        let rule = self.explained(wanted);
        let values = if secret { masked(&rule.values) } else { rule.values };
        ExplainedRule { values, skipped, ..rule }
    }

    fn explained(&self, wanted: Wanted) -> ExplainedRule {
        let Wanted { attribute, expression, reads, values, is_unique: _ } = wanted;
        let (values, error) = match values {
            Ok(values) => (values, None),
            Err(error) => (Vec::new(), Some(self.compiled.shown(&reads, error))),
        };
        ExplainedRule { attribute, expression, reads, values, error, skipped: false }
    }

    fn account(&self, found: &TargetAccount, now: Timestamp) -> ExplainedAccount {
        let account = &found.account;
        let filled: BTreeSet<String> = self.rules.attributes().map(str::to_ascii_lowercase).collect();
        let shown = |values: Value| -> BTreeMap<String, Value> {
            let Value::Object(values) = values else { return BTreeMap::new() };
            let known = values.into_iter().filter(|(name, _)| filled.contains(&name.to_ascii_lowercase()));
            known
                .map(|(name, value)| if self.is_secret(&name) { (name, json!([MASK])) } else { (name, value) })
                .collect()
        };
        ExplainedAccount {
            id: account.id.as_uuid(),
            dn: account.dn.clone(),
            external_id: account.external_key.to_text(),
            outbound: account.outbound,
            enabled: (account.switch != Switch::Unknown).then(|| account.switch.is_on(now)),
            left_at: found.left_at,
            deleted_at: found.left_at.and_then(|at| self.settings.deletion_due(at)),
            known: shown(serde_json::from_str(&account.attributes).unwrap_or_default()),
            agreed: shown(json!(Agreed::read(&found.agreed).values)),
        }
    }
}

fn masked(values: &[String]) -> Vec<String> {
    values.iter().map(|_| MASK.to_owned()).collect()
}

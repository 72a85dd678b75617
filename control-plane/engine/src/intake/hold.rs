//! Why an import is held, for people and programs: a sentence for each reason, the users and groups, and their
//! containers.

use postern_proto::chunk::EntryView;
use postern_store::{AccountKind, ChangeKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::containers::{Container, Containers};
use super::deferred::{Ahead, Excess, Outcome, Proven};
use super::keys::recorded_key;
use super::known;
use super::missing::Missing;
use super::people::{self, Person, SHOWN};
use super::sensitive::{LOGIN, bit};
use super::shortened::shortened;

const DECIDE: &str = "Approve if that is right. Reject if a filter, a base DN, a permission or the directory itself is \
     to blame; nothing of it is applied then.";

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Why a job was held, and which users and groups are concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hold {
    /// The reason for people, with what to do.
    pub reason: String,
    /// Accounts that would be marked missing.
    pub missing: u64,
    /// Accounts that are known.
    pub known: u64,
    /// DNs of some of the missing.
    pub samples: Vec<String>,
    /// The reasons one by one.
    pub reasons: Vec<Reason>,
    /// The containers with the most missing accounts.
    pub containers: Vec<HeldContainer>,
    /// Further containers with missing accounts, which are not listed.
    pub more_containers: u64,
    /// Further attributes that are gone from too many accounts, which are not among the reasons.
    pub more_vanished: u64,
    /// Users who are inactive already, independent of the decision, because the directory says that they are disabled.
    pub already_inactive: u64,
    /// Members who were removed from their groups already, independent of the decision.
    pub already_removed: u64,
}

/// A reason with its figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = HoldReason)]
pub struct Reason {
    /// The kind of change: `missing`, `activated`, `deactivated`, `renamed`, `vanished` or `removed`, above its
    /// threshold. Or `reassigned`, which has no threshold.
    pub kind: String,
    /// The attribute that vanished. Absent: it is about something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// For people.
    pub reason: String,
    /// How many are concerned.
    pub count: u64,
    /// Of how many.
    pub known: u64,
    /// Some of them.
    pub people: Vec<Person>,
}

/// A container with missing accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HeldContainer {
    /// Its DN.
    pub dn: String,
    /// Missing accounts in it.
    pub missing: u64,
    /// Known accounts in it.
    pub known: u64,
}

impl Hold {
    /// The form in which a job stores it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What speaks against finishing the import.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Why missing accounts need a decision before they are marked.
    pub(super) missing: Vec<String>,
    /// Changes beyond their thresholds, whose entries are kept aside.
    pub(super) excesses: Vec<Excess>,
}

impl Doubt {
    /// Whether nothing speaks against it.
    pub(super) fn is_none(&self) -> bool {
        self.missing.is_empty() && self.excesses.is_empty()
    }
}

/// Why emptied containers hold the import.
pub(super) fn of_emptied(emptied: &[Container]) -> Option<String> {
    let first = emptied.first()?;
    let more = match emptied.len() {
        1 => String::new(),
        count => format!(", and {} other containers are empty too", count - 1),
    };
    Some(format!(
        "All {} known accounts in {} were not found{more}. A container that may not be read any more looks like that.",
        first.known, first.dn
    ))
}

/// Why accounts that an agent with another configuration did not find hold the import, in any number.
pub(super) fn of_other_configuration(differing: &[String], missing: &Missing) -> Option<String> {
    if differing.is_empty() || missing.accounts.is_empty() {
        return None;
    }
    Some(format!(
        "The agent of this import has other base DNs, scope, filter or attributes for {} than the last import, or its first \
         base DN was created anew. By them, {} \
         of {} known accounts are not there and would be marked missing.",
        differing.join(" and "),
        missing.accounts.len(),
        missing.present()
    ))
}

/// The hold of an import whose server lags so far behind that it will hardly catch up. Nothing was read.
pub(crate) fn of_server_behind() -> Hold {
    Hold {
        reason: "The directory server is behind the one of the last import, and that import was hours ago. It may have \
                   been restored from a backup. Approve to import what it has now: nobody is marked missing by that import, \
                   and other changes are held as usual where they are many. Reject if it should catch up first, or if another server is the right one."
            .to_owned(),
        ..Hold::default()
    }
}

/// The hold of a job.
pub(super) async fn describe(proven: &Proven<'_>, missing: &Missing, kept: &Outcome, doubt: &Doubt) -> Result<Hold> {
    let mut reasons = Vec::new();
    let (mut containers, mut more_containers) = (Vec::new(), 0);
    if !doubt.missing.is_empty() {
        let organization = proven.directory.organization;
        let shown: Vec<_> = missing.accounts.iter().copied().take(SHOWN).collect();
        let people = proven.store.named_accounts(organization, &shown).await?.into_iter().map(Person::from).collect();
        reasons.push(Reason {
            kind: "missing".to_owned(),
            attribute: None,
            reason: doubt.missing.join(" "),
            count: missing.accounts.len() as u64,
            known: missing.present(),
            people,
        });
        (containers, more_containers) = Containers::of(proven.store, proven.directory, missing, true).await?.most();
    }
    let (shown, more_vanished) = shown(&doubt.excesses);
    for excess in shown {
        reasons.push(Reason {
            kind: excess.kind.as_str().to_owned(),
            attribute: excess.attribute.as_ref().map(|(_, name)| name.clone()),
            reason: sentence(excess, kept.counts.ends_soon),
            count: excess.count,
            known: excess.known,
            people: people(proven, kept, excess).await?,
        });
    }
    let ahead = written_ahead(kept);
    let more = (more_vanished > 0).then(|| format!("So are {more_vanished} more attributes, which are not shown."));
    let sentences = reasons.iter().map(|reason| reason.reason.as_str());
    let sentences: Vec<&str> = sentences.chain(more.as_deref()).chain(ahead.as_deref()).collect();
    let containers =
        containers.into_iter().map(|Container { dn, missing, known }| HeldContainer { dn, missing, known }).collect();
    Ok(Hold {
        reason: format!("{} {DECIDE}", sentences.join(" ")),
        missing: missing.accounts.len() as u64,
        known: missing.present(),
        samples: missing.samples.clone(),
        reasons,
        containers,
        more_containers,
        more_vanished,
        already_inactive: kept.ahead.deactivated,
        already_removed: kept.ahead.removed,
    })
}

/// The excesses to show, and how many are left out: a fault of permissions may hide hundreds of attributes.
fn shown(excesses: &[Excess]) -> (Vec<&Excess>, u64) {
    let (vanished, mut shown): (Vec<_>, Vec<_>) =
        excesses.iter().partition(|excess| excess.kind == ChangeKind::Vanished);
    shown.extend(vanished.iter().take(SHOWN));
    (shown, vanished.len().saturating_sub(SHOWN) as u64)
}

/// What was applied already, although its entries wait for the decision.
fn written_ahead(kept: &Outcome) -> Option<String> {
    let Ahead { deactivated, removed } = kept.ahead;
    let users = (deactivated > 0).then(|| format!("{deactivated} users are switched off in the directory"));
    let members = (removed > 0).then(|| format!("{removed} members have left their groups"));
    let parts: Vec<String> = users.into_iter().chain(members).collect();
    (!parts.is_empty())
        .then(|| format!("Among these entries, {}: that is applied already, whatever is decided.", parts.join(" and ")))
}

fn sentence(excess: &Excess, ends_soon: u64) -> String {
    let Excess { kind, ref attribute, count, known, percent } = *excess;
    let share = if known < 10 { "which is at least half".to_owned() } else { format!("more than {percent} %") };
    match (kind, attribute) {
        (ChangeKind::Activated, _) => format!("{count} of {known} known users would become active, {share}."),
        (ChangeKind::Deactivated, _) if ends_soon > 0 => format!(
            "{count} of {known} known users would become inactive, {share}; {ends_soon} of them within 30 days, when their \
             accounts end."
        ),
        (ChangeKind::Deactivated, _) => format!("{count} of {known} known users would become inactive, {share}."),
        (ChangeKind::Renamed, _) => format!("{count} of {known} known users would get another user name, {share}."),
        (ChangeKind::Reassigned, _) => {
            let accounts = if count == 1 { "1 account" } else { &format!("{count} accounts") };
            format!(
                "{accounts} would become another person's or group's: two entries had the same external id, one of them is \
                 gone, and the other one has another DN and login. Approve only if it is the same person. Otherwise give \
                 that entry an external id of its own, and reject."
            )
        }
        (ChangeKind::Removed, _) => format!(
            "{count} of {known} known memberships of groups would be removed, {share}. Members that may not be read any \
             more look like that; the memberships known so far stay."
        ),
        (ChangeKind::Vanished, Some((kind, name))) if name == LOGIN => format!(
            "The login attribute is gone from {count} of {known} known {kind} accounts, {share}. An attribute that may not \
             be read any more looks like that; the values known so far stay."
        ),
        (ChangeKind::Vanished, attribute) => {
            let (kind, name) = attribute.as_ref().map_or(("", "?"), |(kind, name)| (kind.as_str(), name.as_str()));
            format!(
                "The attribute {name} is gone from {count} of the {known} {kind} accounts that had it, {share}. An \
                 attribute that may not be read any more looks like that; the values known so far stay."
            )
        }
    }
}

/// Samples for an excess, named as in their new entries.
async fn people(proven: &Proven<'_>, kept: &Outcome, excess: &Excess) -> Result<Vec<Person>> {
    let (mut people, mut ids) = (Vec::new(), Vec::new());
    for part in kept.left.iter().filter(|part| part.kinds & bit(excess.kind) != 0) {
        if people.len() >= SHOWN {
            break;
        }
        let Some(payload) = proven.payload(part).await? else { continue };
        // A part may also have entries that lack another attribute.
        let lacks = |of: AccountKind, entry: &EntryView<'_>| {
            excess.attribute.as_ref().is_none_or(|(kind, name)| {
                *kind == of && !entry.attributes().any(|(has, _)| has.eq_ignore_ascii_case(name))
            })
        };
        for (person, id) in people::of_entries(&payload, proven.directory.flavour, proven.now, lacks) {
            if people.len() < SHOWN {
                people.push(person);
                ids.push(id);
            }
        }
    }
    if excess.kind == ChangeKind::Reassigned {
        let mut known = known::by_id(proven.store, proven.directory, &ids).await?;
        for (person, (kind, id)) in people.iter_mut().zip(&ids) {
            person.former_dn = known.remove(&recorded_key(*kind, id)).map(|known| shortened(&known.dn));
        }
    }
    Ok(people)
}

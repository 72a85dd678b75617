//! Changes one entry of a directory. The site's policy is asked once the entry is known, and before anything is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use postern_proto::limits::{self, MAX_OPERATION_ATTRIBUTES, MAX_OPERATION_MEMBERS};
use postern_proto::{operation, v1};
use postern_runtime::failpoint;

use super::entries::{subject, text, wrong};
use super::kind::{Kind, Run, Work};
use super::room::Room;
use super::sealed::Sealed;
use crate::command::End;
use crate::encode::chunk;
use crate::failure::{Code, Failure};
use crate::served::{Phase, write};

/// Why an attribute was refused is no longer than this: there may be as many reasons as attributes.
const MAX_REASON_BYTES: usize = limits::MAX_TEXT_BYTES / 16;

/// Changes an entry.
#[derive(Debug)]
pub(super) struct Operate;

impl Kind for Operate {
    fn name(&self) -> &'static str {
        "operate"
    }

    fn is_of_one_entry(&self) -> bool {
        true
    }

    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>> {
        let v1::command::Kind::Operate(operate) = asked else { return None };
        let change = match &operate.change {
            Some(v1::operate::Change::SetPassword(wanted)) => {
                Sealed::read(wanted, operate.entry_kind(), operate.entry.as_ref()).map(Change::Password)
            }
            _ => read(operate).map(Change::Plain),
        };
        Some(change.map(|change| Arc::new(change) as Arc<dyn Run>))
    }
}

/// A change that was asked for.
#[derive(Debug)]
enum Change {
    Plain(write::Operation),
    Password(Sealed),
}

impl Run for Change {
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, End> {
        Box::pin(async {
            failpoint::reached("operation.received");
            let end = match self {
                Self::Plain(operation) => change(work, operation).await.into(),
                Self::Password(sealed) => password(work, sealed).await.into(),
            };
            failpoint::reached("operation.ended");
            end
        })
    }
}

async fn password(work: &Work, sealed: &Sealed) -> Result<v1::outcome::Result, Failure> {
    let Some((operation, opened)) = sealed.open(work)? else {
        let effect = v1::Effect::AlreadySo.into();
        return Ok(v1::outcome::Result::Operate(v1::OperateResult { effect, ..v1::OperateResult::default() }));
    };
    let result = change(work, &operation).await?;
    opened.done();
    Ok(result)
}

async fn change(work: &Work, operation: &write::Operation) -> Result<v1::outcome::Result, Failure> {
    let veto = work.policy.veto(work.key, work.directory.name(), operation);
    veto.beforehand().map_err(|denied| denied_by_the_site(&denied))?;
    let done = work.directory.operate(operation, &veto).await;
    failpoint::reached("operation.done");
    veto.ended(&done);
    let done = done?;
    let entry = match done.entry {
        Some(entry) if done.in_scope => chunk(work.directory.member_form(), operation.phase, [entry], &work.policy),
        _ => Bytes::new(),
    };
    let effect = match done.effect {
        write::Effect::Created => v1::Effect::Created,
        write::Effect::Adopted => v1::Effect::Adopted,
        write::Effect::Changed => v1::Effect::Changed,
        write::Effect::AlreadySo => v1::Effect::AlreadySo,
        write::Effect::Deleted => v1::Effect::Deleted,
    };
    let mut room = Room::default();
    let mut both = |ends: Vec<write::BothEnds>| -> Vec<v1::AttributeValues> {
        ends.into_iter().take(MAX_OPERATION_ATTRIBUTES).map(|both| both_ends(both, work, &mut room)).collect()
    };
    Ok(v1::outcome::Result::Operate(v1::OperateResult {
        effect: effect.into(),
        entry,
        overwritten: both(done.overwritten),
        kept: both(done.kept),
        refused: done.refused.into_iter().take(MAX_OPERATION_ATTRIBUTES).map(refused).collect(),
        // Each was named by the operation: they are no larger than that.
        unknown_members: done.unknown_members.into_iter().take(MAX_OPERATION_MEMBERS).collect(),
        refused_members: done.refused_members.into_iter().take(MAX_OPERATION_MEMBERS).map(refused_member).collect(),
    }))
}

/// A refusal before the directory was asked.
fn denied_by_the_site(denied: &write::Denied) -> Failure {
    let failure = Failure::new(Code::DeniedBySitePolicy, denied.to_string());
    Failure { retryable: denied.for_now, local: denied.detail.clone(), ..failure }
        .cured_by("the site's administrator can change this rule in the agent's configuration")
}

/// What the directory had; nothing of an attribute that may not leave.
fn both_ends(both: write::BothEnds, work: &Work, room: &mut Room) -> v1::AttributeValues {
    let values = both.found.filter(|_| !work.policy.excludes(&both.name)).unwrap_or_default();
    v1::AttributeValues { name: both.name, values: room.shown(values) }
}

fn refused(refused: write::RefusedAttribute) -> v1::RefusedAttribute {
    v1::RefusedAttribute {
        name: refused.name,
        message: why(&refused.reason, refused.cure.as_deref()),
        ldap_result_code: refused.code,
    }
}

fn refused_member(refused: write::RefusedMember) -> v1::RefusedMember {
    let write::Subject { external_id, dn } = refused.subject;
    v1::RefusedMember {
        member: external_id.or(dn).unwrap_or_default(),
        message: why(&refused.reason, refused.cure.as_deref()),
        ldap_result_code: Some(refused.code),
    }
}

fn why(reason: &str, cure: Option<&str>) -> String {
    let cure = cure.map_or_else(String::new, |cure| format!("; {cure}"));
    let message = format!("{reason}{cure}");
    message[..message.floor_char_boundary(MAX_REASON_BYTES)].to_owned()
}

/// Reads an operation, and checks what no directory needs to be asked for.
fn read(operate: &v1::Operate) -> Result<write::Operation, Failure> {
    use v1::operate::Change as Wire;
    operation::check(operate).map_err(|too_large| wrong(&format!("the operation is too large: {too_large}")))?;
    let phase = match operate.entry_kind() {
        v1::EntryKind::User => Phase::Users,
        v1::EntryKind::Group => Phase::Groups,
        v1::EntryKind::Unspecified => {
            return Err(wrong("the operation does not say whether it is about a user or a group"));
        }
    };
    let subject = operate.entry.as_ref().map(subject).transpose()?;
    let Some(change) = &operate.change else {
        let unknown = Failure::new(Code::Unsupported, "this agent does not know this kind of change");
        return Err(unknown.cured_by("update the agent"));
    };
    let change = match change {
        Wire::Create(create) => write::Change::Create(creation(create)?),
        Wire::Update(update) => write::Change::Update(changes(update)?),
        Wire::Move(to) => {
            let container = if to.to_own_container { Some(String::new()) } else { text(&to.container)? };
            write::Change::Move(write::Move { container, name: text(&to.name)? })
        }
        Wire::Enable(_) => write::Change::Enable,
        Wire::Disable(_) => write::Change::Disable,
        Wire::Delete(_) => write::Change::Delete,
        Wire::Unlock(_) => write::Change::Unlock,
        Wire::SetPassword(_) => return Err(wrong("the password is sealed")),
        Wire::ChangeMembers(members) => write::Change::Members(member_change(members)?),
    };
    let creates = matches!(change, write::Change::Create(_));
    match subject {
        None if creates => Ok(write::Operation { phase, subject: write::Subject::default(), change }),
        Some(subject) if !creates => Ok(write::Operation { phase, subject, change }),
        None => Err(wrong("the operation does not say which entry it is about")),
        Some(_) => Err(wrong("an entry that is created has no external id yet")),
    }
}

type Given = Vec<(String, Vec<Bytes>)>;

fn given(attributes: &[v1::AttributeValues]) -> Result<Given, Failure> {
    attributes.iter().map(|attribute| Ok((named(&attribute.name)?, attribute.values.clone()))).collect()
}

/// Refuses choices that are not about the same attributes of the entry: what the site's policy is asked about is the same
/// for each.
fn choices_fit(attributes: &Given, choices: &[Given]) -> Result<(), Failure> {
    let names =
        |given: &Given| -> BTreeSet<String> { given.iter().map(|(name, _)| name.to_ascii_lowercase()).collect() };
    let (Some(first), all) = (choices.first().map(names), names(attributes)) else { return Ok(()) };
    let fits = !first.is_empty() && first.is_subset(&all) && choices.iter().all(|choice| names(choice) == first);
    if fits { Ok(()) } else { Err(wrong("the choices of names are not all about the same attributes of the entry")) }
}

fn creation(create: &v1::CreateEntry) -> Result<write::Create, Failure> {
    if create.password.is_some() {
        return Err(wrong("a password is set with an operation of its own"));
    }
    let attributes = given(&create.attributes)?;
    let choices: Vec<_> =
        create.choices.iter().map(|choice| given(&choice.attributes)).collect::<Result<_, Failure>>()?;
    choices_fit(&attributes, &choices)?;
    Ok(write::Create {
        container: text(&create.container)?,
        attributes,
        choices,
        sent_before: create.sent_before,
        others: create
            .others
            .iter()
            .take(limits::MAX_OPERATION_CHOICES)
            .map(|id| named(id))
            .collect::<Result<_, _>>()?,
        enabled: create.enabled,
        password: None,
        members: references(&create.members)?,
        existing: if create.adopt { write::Existing::Adopt } else { write::Existing::Conflict },
    })
}

fn changes(update: &v1::UpdateEntry) -> Result<Vec<write::AttributeChange>, Failure> {
    let change = |change: &v1::AttributeChange| {
        Ok(write::AttributeChange {
            name: named(&change.name)?,
            known: change.compare.then(|| change.known.clone()),
            wanted: change.wanted.clone(),
            both_changed: match change.both_changed() {
                v1::BothChanged::WantedWins => write::BothChanged::SourceWins,
                v1::BothChanged::DirectoryWins => write::BothChanged::TargetWins,
                v1::BothChanged::Refuse | v1::BothChanged::Unspecified => write::BothChanged::Refuse,
            },
        })
    };
    update.changes.iter().map(change).collect()
}

fn member_change(members: &v1::ChangeMembers) -> Result<write::MemberChange, Failure> {
    Ok(write::MemberChange { add: references(&members.add)?, remove: references(&members.remove)? })
}

fn references(references: &[v1::EntryReference]) -> Result<Vec<write::Subject>, Failure> {
    references.iter().map(subject).collect()
}

fn named(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.len() > limits::MAX_NAME_BYTES {
        return Err(wrong("an attribute of the operation has no name, or one that is too long"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(operate: v1::Operate) -> Result<(), Code> {
        let read = Operate.read(&v1::command::Kind::Operate(operate)).unwrap();
        read.map(|_| ()).map_err(|failure| failure.code)
    }

    fn delete(kind: v1::EntryKind, entry: Option<v1::EntryReference>) -> v1::Operate {
        let change = Some(v1::operate::Change::Delete(v1::DeleteEntry {}));
        v1::Operate { entry_kind: kind.into(), entry, change }
    }

    fn entry(external_id: &str) -> v1::EntryReference {
        v1::EntryReference { external_id: external_id.to_owned(), dn: String::new() }
    }

    #[test]
    fn an_operation_that_leaves_something_open_is_refused() {
        assert_eq!(read(delete(v1::EntryKind::User, Some(entry("id")))), Ok(()));
        assert_eq!(read(delete(v1::EntryKind::Unspecified, Some(entry("id")))), Err(Code::Invalid));
        assert_eq!(read(delete(v1::EntryKind::User, None)), Err(Code::Invalid));
        assert_eq!(read(delete(v1::EntryKind::User, Some(entry("")))), Err(Code::Invalid));
        assert_eq!(read(delete(v1::EntryKind::User, Some(entry(&"x".repeat(1 << 20))))), Err(Code::Invalid));
        let add = vec![entry("id"); MAX_OPERATION_MEMBERS + 1];
        let members = v1::operate::Change::ChangeMembers(v1::ChangeMembers { add, remove: Vec::new() });
        let many = v1::Operate { change: Some(members), ..delete(v1::EntryKind::Group, Some(entry("id"))) };
        assert_eq!(read(many), Err(Code::Invalid));
        let named = |name: &str| v1::AttributeValues { name: name.to_owned(), values: vec!["a".into()] };
        let chosen = |choices: &[&[&str]]| {
            let choice = |names: &&[&str]| v1::Choice { attributes: names.iter().map(|name| named(name)).collect() };
            let attributes = vec![named("uid"), named("mail"), named("sn")];
            let choices = choices.iter().map(choice).collect();
            let create = v1::CreateEntry { attributes, choices, ..v1::CreateEntry::default() };
            read(v1::Operate { change: Some(v1::operate::Change::Create(create)), ..delete(v1::EntryKind::User, None) })
        };
        assert_eq!(chosen(&[&["uid", "mail"], &["Mail", "uid"]]), Ok(()));
        // The site is asked about the attributes of the entry, so no choice has others.
        assert_eq!(chosen(&[&["uid", "title"]]), Err(Code::Invalid));
        assert_eq!(chosen(&[&["uid"], &["mail"]]), Err(Code::Invalid));
        assert_eq!(chosen(&[&[]]), Err(Code::Invalid));
        assert_eq!(chosen(&vec![&["uid"][..]; limits::MAX_OPERATION_CHOICES + 1]), Err(Code::Invalid));
        let nothing = v1::Operate { change: None, ..delete(v1::EntryKind::User, Some(entry("id"))) };
        assert_eq!(read(nothing), Err(Code::Unsupported));
    }
}

//! Why an operation has not reached its end, for people.

use postern_store::{IdentityId, Operation, UserId};
use uuid::Uuid;

use crate::jobs::failure::Failure;
use crate::provisioning::change::Attributes;
use crate::provisioning::connector::RefusedMember;
use crate::provisioning::load::Target;

/// insufficientAccessRights, unwillingToPerform (RFC 4511 appendix A.2).
const LACKS_THE_RIGHT: u32 = 50;
const UNWILLING: u32 = 53;
/// Another object has the name or unique value.
pub(super) const CONFLICT: &str = "conflict";
/// The object is not any more what a plan has shown.
pub(super) const CHANGED_SINCE_PLAN: &str = "changed_since_plan";

/// The members of a group that could be added were; these wait.
pub(super) fn absent(members: &[String]) -> Failure {
    let number = members.len();
    let which = members.first().map(String::as_str).unwrap_or_default();
    Failure {
        retryable: true,
        ..Failure::new(
            "unknown_members",
            format!("The directory has no entry of {number} of the members, as {which}; the others are members."),
            "Import the directory: who was deleted there leaves the group.",
        )
    }
}

/// Members that the directory refused; all others were written.
pub(super) fn not_taken(members: &[RefusedMember]) -> Failure {
    let (number, first) = (members.len(), members.first());
    let (which, why) = first.map_or(("", ""), |first| (first.member.as_str(), first.message.as_str()));
    Failure {
        retryable: true,
        ..Failure::new(
            "directory",
            format!("The directory refused {number} of the members, as {which}: {why}; the others were written."),
            "See the answer in the report for each of them, and mend it in the directory.",
        )
    }
}

/// Whether somebody at the site has to allow it: the agent's policy, or the directory's own rights.
pub(super) fn is_refusal(failure: &Failure) -> bool {
    let by_the_site = ["forbidden", "denied_by_site_policy"].contains(&failure.code.as_str());
    by_the_site || matches!(failure.ldap_result_code, Some(LACKS_THE_RIGHT | UNWILLING))
}

pub(super) fn unreadable(reason: &str) -> Failure {
    Failure::new(
        "internal",
        format!("The entry that the agent read after the change cannot be used: {reason}."),
        "Import the directory. If it happens again, update the agent and the control plane to the same release.",
    )
}

/// What an administrator can do about an object that has the value already.
pub(super) fn settled_by(target: &Target, operation: &Operation) -> String {
    let (directory, name) = (&target.directory.name, &operation.name);
    let IdentityId::User(_) = operation.identity else { return "Give one of the two another name.".to_owned() };
    format!(
        "Give one of the two another value; if two users exchange theirs, give one a third value first. If the entry is \
         {name}'s own, link it: `postern accounts list --directory {directory}` shows its id once an import has read it, `postern \
         provisioning link {name} --target {directory} --account ID` links it."
    )
}

/// What a plan has not shown is not written over.
pub(super) fn changed_meanwhile(kept: &Attributes) -> Failure {
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    Failure::new(
        CHANGED_SINCE_PLAN,
        format!("Somebody has changed {} in the directory since the plan was made; that stays.", names.join(", ")),
        "Plan it again: postern provisioning plan DIRECTORY --again PLAN.",
    )
}

pub(super) fn taken(owner: &str, cure: String) -> Failure {
    Failure::new(CONFLICT, format!("The entry is the account of {owner}."), cure)
}

/// Who has an account, for people.
pub(super) async fn owner(target: &Target, owner: Uuid) -> Result<String, postern_store::Error> {
    let (store, organization) = (&target.store, target.provisioning.organization);
    if let Some(user) = store.get_user(organization, UserId::from_uuid(owner)).await? {
        return Ok(user.user_name);
    }
    if let Some(deleted) = store.get_deleted_user(organization, UserId::from_uuid(owner)).await? {
        return Ok(format!("{}, who was deleted at {}", deleted.user_name, deleted.deleted_at));
    }
    Ok("somebody else, who was deleted".to_owned())
}

//! A change as the audit log names it: what was done to which object, and the object before and after.

use jiff::Timestamp;
use postern_store::AuditNote;
use serde_json::Value;
use uuid::Uuid;

use super::actor::Actor;

/// What was done to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    action: &'static str,
    object_id: Option<Uuid>,
    object: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Change {
    /// An action, such as `token.revoked`, and the id and name of its object. `None`: the object has no id yet.
    pub(super) fn new(action: &'static str, object_id: impl Into<Option<Uuid>>, object: impl Into<String>) -> Self {
        Self { action, object_id: object_id.into(), object: object.into(), before: None, after: None }
    }

    /// What the object was. Secrets are masked by the caller.
    pub(super) fn before(self, before: &Value) -> Self {
        Self { before: Some(before.clone()), ..self }
    }

    /// What the object is now. Secrets are masked by the caller.
    pub(super) fn after(self, after: &Value) -> Self {
        Self { after: Some(after.clone()), ..self }
    }

    /// The change by an actor.
    pub(super) fn by(self, actor: &Actor, at: Timestamp) -> AuditNote {
        AuditNote {
            organization: actor.organization,
            at,
            actor: actor.who.to_string(),
            actor_name: actor.who.name().to_owned(),
            address: actor.address.map(|address| address.to_string()),
            action: self.action.to_owned(),
            object_id: self.object_id,
            object: self.object,
            before: self.before,
            after: self.after,
        }
    }
}

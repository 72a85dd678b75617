//! What an operation has done.

use bytes::Bytes;

use super::operation::Subject;
use crate::entry::Entry;
use crate::failure::{Failure, Refusal};

/// An operation that reached its end: what was wanted is so now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// What it took.
    pub effect: Effect,
    /// The entry after the write, as an import would see it, but groups without their members. Unset: it is deleted.
    pub entry: Option<Entry>,
    /// Whether an import finds this entry: it lies in the base DNs and matches the filter.
    pub in_scope: bool,
    /// Attributes that were changed at both ends and stay as the directory has them.
    pub kept: Vec<BothEnds>,
    /// Attributes that were changed at both ends and were written over.
    pub overwritten: Vec<BothEnds>,
    /// Attributes that the directory refused, or whose values do not fit. All others were written.
    pub refused: Vec<RefusedAttribute>,
    /// External ids, or DNs where only those are known, of members that are not found; the others were written.
    pub unknown_members: Vec<String>,
    /// Members that the directory refused. All others were written.
    pub refused_members: Vec<RefusedMember>,
    /// How many members were added.
    pub members_added: usize,
    /// How many members were removed.
    pub members_removed: usize,
}

/// What an operation took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The entry was made.
    Created,
    /// The entry was there already, with the same unique attribute, and is taken as the wanted one. It was not changed.
    Adopted,
    /// Something was written.
    Changed,
    /// All was as wanted; nothing was written.
    AlreadySo,
    /// The entry was removed.
    Deleted,
}

/// An attribute that was changed at both ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BothEnds {
    /// Its name.
    pub name: String,
    /// What the directory had. `None`: the configuration does not let these values leave the site.
    pub found: Option<Vec<Bytes>>,
}

/// An attribute that was not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedAttribute {
    /// Its name.
    pub name: String,
    /// The result code (RFC 4511 §4.1.9). `None`: the value does not fit, so the directory was not asked.
    pub code: Option<u32>,
    /// Why, in words that may leave the site.
    pub reason: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// A member that the directory refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedMember {
    /// Who.
    pub subject: Subject,
    /// The result code (RFC 4511 §4.1.9).
    pub code: u32,
    /// Why, in words that may leave the site.
    pub reason: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl RefusedAttribute {
    pub(crate) fn new(name: &str, refusal: &Refusal) -> Self {
        Self {
            name: name.to_owned(),
            code: Some(refusal.code),
            reason: refusal.clone().of(name).public_message(),
            cure: refusal.cure().map(str::to_owned),
        }
    }

    /// One whose value does not fit.
    pub(crate) fn unfit(name: &str, failure: &Failure) -> Self {
        Self { name: name.to_owned(), code: None, reason: failure.public_message(), cure: failure.cure() }
    }
}

impl RefusedMember {
    /// Somebody who stays in a group because it is the primary one (unwillingToPerform, as Active Directory says it).
    pub(crate) fn of_primary_group(subject: &Subject) -> Self {
        Self {
            subject: subject.clone(),
            code: 53,
            reason: "it is the user's primary group".to_owned(),
            cure: Some("give the user another primary group in Active Directory first".to_owned()),
        }
    }

    pub(crate) fn new(subject: &Subject, refusal: &Refusal) -> Self {
        Self {
            subject: subject.clone(),
            code: refusal.code,
            reason: refusal.public_message(),
            cure: refusal.cure().map(str::to_owned),
        }
    }
}

impl Done {
    pub(crate) fn new(effect: Effect) -> Self {
        Self {
            effect,
            entry: None,
            in_scope: false,
            kept: Vec::new(),
            overwritten: Vec::new(),
            refused: Vec::new(),
            unknown_members: Vec::new(),
            refused_members: Vec::new(),
            members_added: 0,
            members_removed: 0,
        }
    }
}

//! One directory as the agent serves it: what a command may ask of it. Real directories speak LDAP
//! ([`ldap`]); simulated ones, for tests, follow a script (`scripted`).

pub mod ldap;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;

use std::fmt;

use futures_util::future::BoxFuture;
pub use postern_directory::{
    Check, CheckState, Entry, Flavour, LookedUp, Mark, NotVisible, Page, Phase, Sight, Sought, Source, Switch, Unusable,
};
/// What may be asked to be written, and what became of it.
pub mod write {
    pub use postern_directory::write::{
        AttributeChange, BothChanged, BothEnds, Change, Create, Denied, Done, Effect, Existing, Facts, Gate, Intent,
        Kind, MemberChange, Move, NewPassword, Operation, RefusedAttribute, RefusedMember, Subject, Written, container,
    };
}
pub use postern_proto::chunk::MemberForm;
use tokio_util::sync::CancellationToken;

use crate::failure::{Class, Failure};

/// What is learned of a directory before anything is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// What kind of server it is.
    pub flavour: Flavour,
    /// Digests of the configuration.
    pub configuration: Digests,
}

/// Digests of the configuration by which a directory is read, under a key that stays on the premises. Not known: empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Of the users' section.
    pub users: Option<[u8; 32]>,
    /// Of the groups' section.
    pub groups: Option<[u8; 32]>,
}

impl Digests {
    /// Those that an import was read by.
    pub fn of(source: &Source) -> Self {
        Self { users: source.users_digest, groups: source.groups_digest }
    }
}

/// Pages of one enumeration: all users, then all groups.
pub trait Pages: Send {
    /// Where the entries come from; asked once, before the first page.
    fn source(&mut self) -> BoxFuture<'_, Source>;

    /// The next page; nothing after the last one. After an error the enumeration is over, and was not complete.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Page, Failure>>>;

    /// Looks directly for entries that did not come, where these came from.
    fn second_look(&self) -> Box<dyn SecondLook>;
}

/// A direct look for entries that an enumeration did not bring.
pub trait SecondLook: fmt::Debug + Send {
    /// What became of each of them, in their order.
    fn look<'a>(&'a mut self, sought: &'a [Sought]) -> BoxFuture<'a, Result<Vec<Sight>, Failure>>;

    /// What an administrator should know of how it was looked; of the configuration it names attributes only.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// One served directory. Its configuration never shows here: what these methods return may travel.
pub trait ServedDirectory: Send + Sync + 'static {
    /// Its name, unique within the agent.
    fn name(&self) -> &str;

    /// What members of its groups are.
    fn member_form(&self) -> MemberForm;

    /// The attributes that leave, as the configuration lists them. `None`: nobody can say.
    fn listed_attributes(&self, _phase: Phase) -> Option<&[String]> {
        None
    }

    /// Its flavour where that is known without asking the server.
    fn known_flavour(&self) -> Option<Flavour> {
        None
    }

    /// Asks the server for its flavour, and digests the configuration by which it is read.
    fn identify(&self) -> BoxFuture<'_, Result<Identified, Failure>>;

    /// Reads everything; stops when `cancel` is canceled or the pages are dropped.
    fn enumerate(&self, cancel: CancellationToken) -> Box<dyn Pages>;

    /// Reads one user.
    fn lookup_user<'a>(&'a self, unique_value: &'a str) -> BoxFuture<'a, Result<LookedUp, Failure>>;

    /// Changes one entry, if the gate permits it.
    fn operate<'a>(
        &'a self,
        _operation: &'a write::Operation,
        _gate: &'a dyn write::Gate,
    ) -> BoxFuture<'a, Result<write::Done, Failure>> {
        Box::pin(async { Err(Failure::new(Class::Directory, "this directory cannot be written")) })
    }

    /// The diagnosis, step by step.
    fn check(&self) -> BoxFuture<'_, Vec<Check>>;
}

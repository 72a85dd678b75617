//! What can go wrong between the agent and a directory, in three texts: for the local log (`Display` and sources, which may
//! name servers and DNs), for the control plane (`public_message`, which names no configuration), and as a class.

mod results;
mod words;

use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::bind::BindRefusal;
use crate::config::{ConfigError, Scope, SecretError};
use crate::failure::Failure;
use crate::throttle::Wait;
use crate::tls::{TlsConfigError, TlsFailure};
use postern_dn::ber::Malformed;

/// What was being done when it went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Reaching the server: name, TCP, TLS.
    Connect,
    /// Proving who we are.
    Bind,
    /// Reading what the server says of itself.
    RootDse,
    /// Reading the schema.
    Schema,
    /// Searching, page by page.
    Search,
    /// Reading the rest of an attribute with very many values.
    Range,
    /// A change of the directory.
    Write,
}

/// Which entries an enumeration was reading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// People.
    Users,
    /// Groups.
    Groups,
}

/// How far an enumeration came.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Users read.
    pub users: u64,
    /// Groups read.
    pub groups: u64,
    /// Entries that could not be used.
    pub unusable: u64,
    /// Pages that the server sent.
    pub pages: u64,
    /// Referrals seen and not chased.
    pub referrals: u64,
}

/// What kind of failure this is; the control plane shows it and decides by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// No server could be reached, or the connection broke.
    Unreachable,
    /// The directory does not accept us, or we have nothing to show.
    Credentials,
    /// The directory answered, but not with what was asked for.
    Directory,
    /// The directory took too long.
    Timeout,
    /// Somebody asked to stop.
    Canceled,
    /// A mistake of ours.
    Internal,
    /// Nobody by that name.
    NotFound,
    /// Several by that name.
    Ambiguous,
}

/// A failed operation on a directory.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's name has no address.
    #[error("cannot resolve the host of {url}")]
    Resolve {
        /// The server.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server cannot be reached over TCP.
    #[error("cannot connect to {url}")]
    Connect {
        /// The server.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS with the server could not be established.
    #[error("TLS with {url} failed: {failure}")]
    Tls {
        /// The server.
        url: String,
        /// What was found wrong.
        failure: TlsFailure,
        /// What the TLS library says.
        #[source]
        source: io::Error,
    },
    /// The server refuses to upgrade the connection.
    #[error("{url} refused STARTTLS with result code {code}")]
    StartTls {
        /// The server.
        url: String,
        /// The LDAP result code.
        code: u32,
    },
    /// None of several servers could be used; the source is the last one's failure, the others are in the log.
    #[error("none of {tried} servers could be used")]
    NoServer {
        /// How many were tried.
        tried: usize,
        /// The last failure.
        #[source]
        last: Box<Error>,
    },
    /// A secret of the configuration cannot be had.
    #[error("cannot read the bind secret")]
    Secret(#[source] SecretError),
    /// What the configuration leaves open cannot be filled in from what the server says.
    #[error("the configuration cannot be completed")]
    Configuration(#[source] ConfigError),
    /// The TLS settings of the configuration cannot be used.
    #[error("cannot set up TLS")]
    TlsConfig(#[source] TlsConfigError),
    /// The server answered the bind with an error.
    #[error("{url} refused the bind: {}", results::bind(*.refusal, *.code, .diagnostic))]
    Bind {
        /// The server.
        url: String,
        /// The LDAP result code.
        code: u32,
        /// What it says of the account.
        refusal: BindRefusal,
        /// The server's own words.
        diagnostic: String,
    },
    /// Too many wrong passwords; the next bind waits, so that no account is locked out.
    #[error("binds are paused for {} s after wrong passwords ({cause})", retry_after.as_secs())]
    Throttled {
        /// When to come again.
        retry_after: Duration,
        /// Why the last bind was refused.
        cause: String,
    },
    /// The server answered with an error.
    #[error("{step} ended with result code {code}{}", results::said(.diagnostic))]
    Refused {
        /// What was asked.
        step: Step,
        /// The LDAP result code.
        code: u32,
        /// The server's own words.
        diagnostic: String,
    },
    /// The server took longer than it may.
    #[error("{step} took longer than {} s", limit.as_secs())]
    Timeout {
        /// What was asked.
        step: Step,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke under way.
    #[error("the connection broke: {step}")]
    Lost {
        /// What was under way.
        step: Step,
        /// Why, as far as it is known.
        #[source]
        source: io::Error,
    },
    /// The server sent what is no LDAP.
    #[error("the server sent invalid LDAP: {step}")]
    Malformed {
        /// What was under way.
        step: Step,
        /// What was found.
        #[source]
        source: Malformed,
    },
    /// The LDAP library failed in a way it should not.
    #[error("the LDAP client failed: {step}")]
    Client {
        /// What was under way.
        step: Step,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A panic, contained.
    #[error("a panic was contained: {step}")]
    Panicked {
        /// What was under way.
        step: Step,
    },
    /// The server does not page searches; a partial answer would look like a complete one.
    #[error("the server does not page search results (RFC 2696)")]
    NoPaging,
    /// The server called a search complete and showed by something else that it was not.
    #[error("the server ended the search before its end{}", results::said(.diagnostic))]
    Cut {
        /// What a read of the base ended with after the last page. Unset: an entry came without its attributes.
        code: Option<u32>,
        /// The server's own words.
        diagnostic: String,
    },
    /// A connection that was made anew reached another server than the one that is read, which may lag.
    #[error("a new connection reached another server than the one being read")]
    OtherServer,
    /// A search ended before its end.
    #[error("reading the {phase} below \"{base_dn}\" ({scope}) ended early, after {progress}")]
    Ended {
        /// Users or groups.
        phase: Phase,
        /// Where the search was.
        base_dn: String,
        /// How deep it went.
        scope: Scope,
        /// How far the whole enumeration had come.
        progress: Progress,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Asked for further values of an attribute, the server sent something else; the values read so far are not all.
    #[error("asked for {expected}, the server sent: {got}")]
    Range {
        /// The attribute description asked for.
        expected: String,
        /// What came: the descriptions of the attributes, or why there are none to be read.
        got: String,
    },
    /// The policy keeps back what an import cannot do without. Only the server's schema showed that they are one attribute.
    #[error("[policy] excluded_attributes names the attribute of {key} by another name")]
    KeptBack {
        /// The key that names it.
        key: &'static str,
    },
    /// Asked to stop.
    #[error("canceled")]
    Canceled,
    /// Nobody has that value in the unique attribute.
    #[error("no user has this value in the unique attribute")]
    NotFound,
    /// More than one entry has that value.
    #[error("several users have this value in the unique attribute")]
    Ambiguous,
    /// The entry is there but lacks what an account needs.
    #[error("the entry cannot be used: {reason}")]
    Unusable {
        /// What it lacks.
        reason: String,
    },
    /// A change of the directory did not reach its end.
    #[error(transparent)]
    Write(#[from] Failure),
}

impl Error {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut => Class::Timeout,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::StartTls { .. }
            | Self::Lost { .. }
            | Self::Bind { refusal: BindRefusal::Unavailable, .. }
            | Self::Refused { code: 51 | 52, .. } => Class::Unreachable,
            Self::NoServer { last: inner, .. } | Self::Ended { source: inner, .. } => inner.class(),
            Self::Secret(_) | Self::Throttled { .. } | Self::Bind { .. } => Class::Credentials,
            Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Cut { .. }
            | Self::OtherServer
            | Self::NoPaging
            | Self::Range { .. }
            | Self::KeptBack { .. }
            | Self::Configuration(_)
            | Self::Write(_)
            | Self::Unusable { .. } => Class::Directory,
            Self::Timeout { .. } => Class::Timeout,
            Self::TlsConfig(_) | Self::Client { .. } | Self::Panicked { .. } => Class::Internal,
            Self::Canceled => Class::Canceled,
            Self::NotFound => Class::NotFound,
            Self::Ambiguous => Class::Ambiguous,
        }
    }

    /// The directory's result code, where it was the directory that said no (RFC 4511 §4.1.9).
    pub fn ldap_result_code(&self) -> Option<u32> {
        match self {
            Self::StartTls { code, .. } | Self::Bind { code, .. } | Self::Refused { code, .. } => Some(*code),
            Self::NoServer { last: inner, .. } | Self::Ended { source: inner, .. } => inner.ldap_result_code(),
            Self::Cut { code, .. } => *code,
            Self::Write(failure) => failure.ldap_result_code(),
            _ => None,
        }
    }

    /// How far the enumeration came, where one ended early.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::Ended { progress, .. } => Some(*progress),
            _ => None,
        }
    }

    /// Whether the same thing may go well a little later with nothing changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NoServer { last: inner, .. } | Self::Ended { source: inner, .. } => inner.retryable(),
            Self::Tls { failure, .. } => matches!(failure, TlsFailure::Other),
            Self::Write(failure) => failure.retryable(),
            // busy, unavailable, and the server's own time limit under load
            Self::Refused { code, .. } | Self::StartTls { code, .. } => matches!(code, 3 | 51 | 52),
            // Not `Throttled`: tries that follow at once find the same wait, and a password that three refusals have
            // shown to be wrong is made right by somebody, not by time.
            // A range of values that is not there: the group may have shrunk under way.
            Self::Malformed { .. }
            | Self::Client { .. }
            | Self::Range { .. }
            | Self::Cut { .. }
            | Self::OtherServer => true,
            _ => matches!(self.class(), Class::Unreachable | Class::Timeout),
        }
    }

    /// Whether another server of the same directory may do better.
    pub(crate) fn is_of_one_server(&self) -> bool {
        match self {
            Self::Ended { source: inner, .. } => inner.is_of_one_server(),
            Self::TlsConfig(_)
            | Self::NoServer { .. }
            | Self::KeptBack { .. }
            | Self::Unusable { .. }
            | Self::Write(_) => false,
            // Only what is said of this account is the same everywhere; a wrong password would be counted there too.
            Self::Bind { refusal: BindRefusal::Unprotected | BindRefusal::Method, .. } => true,
            _ => !matches!(self.class(), Class::Credentials | Class::Canceled | Class::NotFound | Class::Ambiguous),
        }
    }
}

impl From<Wait> for Error {
    fn from(Wait { retry_after, cause }: Wait) -> Self {
        Self::Throttled { retry_after, cause }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Bind => "the bind",
            Self::RootDse => "reading the rootDSE",
            Self::Search => "the search",
            Self::Schema => "reading the schema",
            Self::Range => "reading a range of values",
            Self::Write => "the change",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Users => "users",
            Self::Groups => "groups",
        })
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} users and {} groups in {} pages", self.users, self.groups, self.pages)
    }
}

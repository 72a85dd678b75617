//! Why something failed, in words that may travel to the control plane.

pub use postern_directory::Class;

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// This agent does not know such a command.
    Unsupported,
    /// The command makes no sense here.
    Invalid,
    /// The site's policy forbids it.
    Forbidden,
    /// The site's policy for the directory does not allow this change.
    DeniedBySitePolicy,
    /// Another entry has the name or the unique value already.
    Conflict,
    /// The account never had a password, so it is not enabled.
    NoPassword,
    /// It was begun, and failed as work on a directory fails.
    Failed(Class),
}

impl Code {
    /// Its name in the agent's own log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::DeniedBySitePolicy => "denied_by_site_policy",
            Self::Conflict => "conflict",
            Self::NoPassword => "no_password",
            Self::Failed(class) => match class {
                Class::Unreachable => "unreachable",
                Class::Credentials => "credentials",
                Class::Directory => "directory",
                Class::Timeout => "timeout",
                Class::Canceled => "canceled",
                Class::Internal => "internal",
                Class::NotFound => "not_found",
                Class::Ambiguous => "ambiguous",
            },
        }
    }
}

impl From<Class> for Code {
    fn from(class: Class) -> Self {
        Self::Failed(class)
    }
}

/// Why a command failed, in words that may travel: nothing of the site's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// What failed.
    pub message: String,
    /// What to do.
    pub cure: Option<String>,
    /// Worth trying again without a change by anybody.
    pub retryable: bool,
    /// What the directory answered.
    pub ldap_result_code: Option<u32>,
    /// The whole of it with servers and names, which stays here: for the local log.
    pub local: Option<String>,
}

impl Failure {
    /// A failure that says no more than this.
    pub fn new(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            cure: None,
            retryable: false,
            ldap_result_code: None,
            local: None,
        }
    }

    /// What the local log is to hold.
    pub(crate) fn for_the_log(&self) -> &str {
        self.local.as_deref().unwrap_or(&self.message)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn cured_by(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The same, worth another try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    pub(crate) fn canceled() -> Self {
        Self::new(Class::Canceled, "canceled on request")
    }

    pub(crate) fn panicked() -> Self {
        Self::new(Class::Internal, "a fault in the agent ended the command; the agent's log has the details")
            .cured_by("report the fault with the agent's log")
            .retryable()
    }
}

//! A real directory: everything that is asked of it goes to the crate that speaks LDAP.

use futures_util::future::BoxFuture;
use postern_directory::{Directory, Enumeration};
use postern_runtime::supervise::chain;
use tokio_util::sync::CancellationToken;

use super::{
    Check, Digests, Identified, LookedUp, MemberForm, Page, Pages, Phase, SecondLook, ServedDirectory, Sight, Sought,
    Source, write,
};
use crate::failure::{Code, Failure};

impl ServedDirectory for Directory {
    fn name(&self) -> &str {
        Directory::name(self)
    }

    fn member_form(&self) -> MemberForm {
        match Directory::member_form(self) {
            postern_directory::MemberForm::Dn => MemberForm::Dn,
            postern_directory::MemberForm::UniqueValue => MemberForm::UniqueValue,
            postern_directory::MemberForm::GroupNames => MemberForm::GroupNames,
        }
    }

    fn listed_attributes(&self, phase: Phase) -> Option<&[String]> {
        let config = Some(self.config()).filter(|_| self.is_complete())?;
        Some(match phase {
            Phase::Users => &config.users.attributes,
            Phase::Groups => config.groups.as_ref().map_or(&[], |groups| &groups.attributes),
        })
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identified, Failure>> {
        Box::pin(async move {
            let identity = Directory::identify(self).await.map_err(|error| failure(&error))?;
            let configuration = Digests { users: identity.users_digest, groups: identity.groups_digest };
            Ok(Identified { flavour: identity.flavour, configuration })
        })
    }

    fn enumerate(&self, cancel: CancellationToken) -> Box<dyn Pages> {
        Box::new(Directory::enumerate(self, cancel))
    }

    fn lookup_user<'a>(&'a self, unique_value: &'a str) -> BoxFuture<'a, Result<LookedUp, Failure>> {
        Box::pin(async move { Directory::lookup_user(self, unique_value).await.map_err(|error| failure(&error)) })
    }

    fn operate<'a>(
        &'a self,
        operation: &'a write::Operation,
        gate: &'a dyn write::Gate,
    ) -> BoxFuture<'a, Result<write::Done, Failure>> {
        Box::pin(async move { Directory::operate(self, operation, gate).await.map_err(|error| failure(&error)) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async move { Directory::check(self).await })
    }
}

impl Pages for Enumeration {
    fn source(&mut self) -> BoxFuture<'_, Source> {
        Box::pin(Enumeration::source(self))
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Result<Page, Failure>>> {
        Box::pin(async move { Enumeration::next(self).await.map(|page| page.map_err(|error| failure(&error))) })
    }

    fn second_look(&self) -> Box<dyn SecondLook> {
        Box::new(Enumeration::second_look(self))
    }
}

impl SecondLook for postern_directory::SecondLook {
    fn look<'a>(&'a mut self, sought: &'a [Sought]) -> BoxFuture<'a, Result<Vec<Sight>, Failure>> {
        Box::pin(
            async move { postern_directory::SecondLook::look(self, sought).await.map_err(|error| failure(&error)) },
        )
    }

    fn remark(&self) -> Option<String> {
        postern_directory::SecondLook::remark(self)
    }
}

/// The public half of an error; the whole of it goes to the local log only, with what it made fail.
fn failure(error: &postern_directory::Error) -> Failure {
    use postern_directory::{Error, write};
    let code = match error {
        Error::Write(write::Failure::Denied(_) | write::Failure::Off) => Code::DeniedBySitePolicy,
        Error::Write(write::Failure::Taken { .. }) => Code::Conflict,
        Error::Write(write::Failure::NoPassword) => Code::NoPassword,
        error => error.class().into(),
    };
    Failure {
        code,
        message: error.public_message(),
        cure: error.cure(),
        retryable: error.retryable(),
        ldap_result_code: error.ldap_result_code(),
        local: Some(chain(error)),
    }
}

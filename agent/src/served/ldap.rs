//! A real directory: everything that is asked of it goes to the crate that speaks LDAP.

use futures_util::future::BoxFuture;
use postern_directory::{Class, Directory, Enumeration};
use postern_runtime::supervise::chain;
use tokio_util::sync::CancellationToken;

use super::{
    Check, CheckState, Digests, Flavour, Identified, LookedUp, MemberForm, Page, Pages, Phase, SecondLook, Served,
    Sight, Sought, Source,
};
use crate::failure::{Code, Failure};

impl Served for Directory {
    fn name(&self) -> &str {
        Directory::name(self)
    }

    fn member_form(&self) -> MemberForm {
        match Directory::member_form(self) {
            postern_directory::MemberForm::Dn => MemberForm::Dn,
            postern_directory::MemberForm::UniqueValue => MemberForm::UniqueValue,
        }
    }

    fn listed_attributes(&self, phase: Phase) -> Option<&[String]> {
        let config = self.config();
        Some(match phase {
            Phase::Users => &config.users.attributes,
            Phase::Groups => config.groups.as_ref().map_or(&[], |groups| &groups.attributes),
        })
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identified, Failure>> {
        Box::pin(async move {
            let identity = Directory::identify(self).await.map_err(|error| failure(&error))?;
            let configuration = Digests { users: identity.users_digest, groups: identity.groups_digest };
            Ok(Identified { flavour: flavour(identity.flavour), configuration })
        })
    }

    fn enumerate(&self, cancel: CancellationToken) -> Box<dyn Pages> {
        Box::new(Directory::enumerate(self, cancel))
    }

    fn lookup_user<'a>(&'a self, unique_value: &'a str) -> BoxFuture<'a, Result<LookedUp, Failure>> {
        Box::pin(async move { Directory::lookup_user(self, unique_value).await.map_err(|error| failure(&error)) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async move { Directory::check(self).await.into_iter().map(check).collect() })
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

fn flavour(flavour: postern_directory::Flavour) -> Flavour {
    match flavour {
        postern_directory::Flavour::Generic => Flavour::Generic,
        postern_directory::Flavour::ActiveDirectory => Flavour::ActiveDirectory,
        postern_directory::Flavour::OpenLdap => Flavour::OpenLdap,
        postern_directory::Flavour::Ds389 => Flavour::Ds389,
    }
}

fn check(check: postern_directory::Check) -> Check {
    let state = match check.state {
        postern_directory::State::Passed => CheckState::Passed,
        postern_directory::State::Warning => CheckState::Warned,
        postern_directory::State::Failed => CheckState::Failed,
        postern_directory::State::Skipped => CheckState::Skipped,
    };
    Check {
        name: check.name.to_owned(),
        state,
        detail: check.detail,
        detail_local: check.detail_local,
        cure: check.cure,
        elapsed: check.elapsed,
    }
}

/// The public half of an error; the whole of it goes to the local log only, with what it made fail.
fn failure(error: &postern_directory::Error) -> Failure {
    let code = match error.class() {
        Class::Unreachable => Code::Unreachable,
        Class::Credentials => Code::Credentials,
        Class::Directory => Code::Directory,
        Class::Timeout => Code::Timeout,
        Class::Canceled => Code::Canceled,
        Class::Internal => Code::Internal,
        Class::NotFound => Code::NotFound,
        Class::Ambiguous => Code::Ambiguous,
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

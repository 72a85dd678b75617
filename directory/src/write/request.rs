//! The requests that change a directory (RFC 4511 §4.6 to §4.9). One request is under way on a connection at a time: `slapd` answers several out of order.

use std::collections::HashSet;

use bytes::Bytes;
use ldap3::{Ldap, LdapError, LdapResult, Mod};
use postern_runtime::failpoint;
use secrecy::SecretString;

use super::read_back;
use super::session::Session;
use crate::bind::policy_code;
use crate::error::{Error, Step};
use crate::failure::{Action, Failure, Refusal};

/// One part of a modify; the server executes all parts in their order, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Add(String, Vec<Bytes>),
    /// These values; none: the whole attribute, which must be there.
    Delete(String, Vec<Bytes>),
    /// No values: the attribute goes, whether it was there or not.
    Replace(String, Vec<Bytes>),
}

impl Part {
    fn encoded(self) -> Mod<Bytes> {
        let set = |values: Vec<Bytes>| values.into_iter().collect::<HashSet<_>>();
        match self {
            Self::Add(name, values) => Mod::Add(name.into(), set(values)),
            Self::Delete(name, values) => Mod::Delete(name.into(), set(values)),
            Self::Replace(name, values) => Mod::Replace(name.into(), set(values)),
        }
    }
}

impl Session {
    /// Makes an entry.
    pub(crate) async fn add(&mut self, dn: &str, attributes: Vec<(String, Vec<Bytes>)>) -> Result<(), Error> {
        let attributes = attributes.into_iter().filter(|(_, values)| !values.is_empty());
        let attributes: Vec<(Bytes, HashSet<Bytes>)> =
            attributes.map(|(name, values)| (name.into(), values.into_iter().collect())).collect();
        let mut ldap = self.writing();
        self.send(Action::Add, async move { ldap.add(dn, attributes).await }).await
    }

    /// Changes attributes of an entry.
    pub(crate) async fn modify(&mut self, action: Action, dn: &str, parts: Vec<Part>) -> Result<(), Error> {
        let parts = parts.into_iter().map(Part::encoded).collect();
        let mut ldap = self.writing();
        self.send(action, async move { ldap.modify(dn, parts).await }).await
    }

    /// Gives an entry another name, and another container where one is named.
    pub(crate) async fn rename(&mut self, dn: &str, rdn: &str, container: Option<&str>) -> Result<(), Error> {
        let mut ldap = self.writing();
        self.send(Action::Rename, async move { ldap.modifydn(dn, rdn, true, container).await }).await
    }

    /// Removes an entry.
    pub(crate) async fn delete(&mut self, dn: &str) -> Result<(), Error> {
        let mut ldap = self.connection.ldap.clone();
        self.send(Action::Delete, async move { ldap.delete(dn).await }).await
    }

    /// Sets a password by RFC 3062: the only way that leaves it to the server how it is kept.
    pub(crate) async fn reset_password(&mut self, dn: &str, password: &SecretString) -> Result<(), Error> {
        failpoint::reached("directory.sending");
        self.unanswered = Some(Action::SetPassword);
        let result = self.connection.reset_password(dn, password).await?;
        self.answered(Action::SetPassword, &result)
    }

    /// For a write that brings the entry back, where the server does that.
    fn writing(&self) -> Ldap {
        let mut ldap = self.connection.ldap.clone();
        if let Some(names) = &self.brought_back {
            ldap.with_controls(read_back::asked(names));
        }
        ldap
    }

    async fn send(
        &mut self,
        action: Action,
        request: impl Future<Output = Result<LdapResult, LdapError>>,
    ) -> Result<(), Error> {
        failpoint::reached("directory.sending");
        self.unanswered = Some(action);
        let limit = self.connection.operation_timeout;
        let result = self.connection.operate(Step::Write, limit, request).await?;
        self.answered(action, &result)
    }

    fn answered(&mut self, action: Action, result: &LdapResult) -> Result<(), Error> {
        failpoint::reached("directory.answered");
        self.unanswered = None;
        self.left = None;
        if result.rc == 0 {
            self.left = read_back::entry(&result.ctrls);
            self.has_written = true;
            return Ok(());
        }
        let policy = policy_code(&result.ctrls);
        Err(Failure::Refused(Refusal::new(action, result.rc, &result.text, policy)).into())
    }
}

//! Extended operations: who we are (RFC 4532), and a new password (RFC 3062). `ldap3` panics on their answers, so that
//! those are read here.

use ldap3::LdapResult;
use ldap3::controls::RawControl;
use ldap3::exop::{PasswordModify, WhoAmI};
use secrecy::{ExposeSecret as _, SecretString};

use crate::bind::PASSWORD_POLICY;
use crate::connection::Connection;
use crate::error::{Error, Step};
use postern_dn::Dn;

impl Connection {
    /// The DN of the account that is bound. `None`: the server does not say.
    pub(crate) async fn own_dn(&mut self) -> Result<Option<Dn>, Error> {
        let mut ldap = self.ldap.clone();
        let limit = self.operation_timeout;
        let answer = self.operate(Step::Bind, limit, async move { ldap.extended(WhoAmI).await }).await?;
        let text = (answer.1.rc == 0).then_some(answer.0.val).flatten();
        let text = text.and_then(|value| String::from_utf8(value).ok());
        Ok(text.and_then(|text| Dn::parse(text.strip_prefix("dn:")?).ok()).filter(|dn| !dn.is_root()))
    }

    /// Sets the password of an entry. The server hashes it.
    pub(crate) async fn reset_password(&mut self, dn: &str, password: &SecretString) -> Result<LdapResult, Error> {
        let mut ldap = self.ldap.clone();
        let limit = self.operation_timeout;
        let request = async move {
            // The password policy names the rule that was broken only in its control.
            ldap.with_controls(RawControl { ctype: PASSWORD_POLICY.to_owned(), crit: false, val: None });
            let new = PasswordModify { user_id: Some(dn), old_pass: None, new_pass: Some(password.expose_secret()) };
            Ok(ldap.extended(new).await?.1)
        };
        self.operate(Step::Write, limit, request).await
    }

    /// Whether an account can bind with a password. Nothing else is done on this connection.
    pub(crate) async fn can_bind(&mut self, dn: &str, password: &SecretString) -> Result<bool, Error> {
        let mut ldap = self.ldap.clone();
        let limit = self.operation_timeout;
        let request = async move { ldap.simple_bind(dn, password.expose_secret()).await };
        Ok(self.operate(Step::Bind, limit, request).await?.rc == 0)
    }
}

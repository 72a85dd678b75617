//! Changes that a server judges and does not make (LDAP No-Op control, draft-zeilenga-ldap-noop). The control is critical: a
//! server that does not know it must refuse. What is sent would change nothing all the same, or make one empty entry.

use std::collections::HashSet;

use bytes::Bytes;
use ldap3::controls::RawControl;
use ldap3::{LdapError, LdapResult, Mod};

use crate::connection::Connection;
use crate::error::{Error, Step};

/// The No-Op control. OpenLDAP knows it and does not list it in its rootDSE.
const NO_OP: &str = "1.3.6.1.4.1.4203.666.5.2";

impl Connection {
    /// The result code of making an entry.
    pub(crate) async fn rehearse_add(&mut self, dn: &str, attributes: &[(&str, &str)]) -> Result<u32, Error> {
        let value = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let attributes = attributes.iter().map(|(name, text)| (value(name), HashSet::from([value(text)]))).collect();
        let mut ldap = self.ldap.clone();
        let request = async move { ldap.with_controls(control()).add(dn, attributes).await };
        self.rehearse(request).await
    }

    /// The result code of giving an attribute the values that it has.
    pub(crate) async fn rehearse_modify(&mut self, dn: &str, name: &str, values: &[Bytes]) -> Result<u32, Error> {
        let part = Mod::Replace(Bytes::copy_from_slice(name.as_bytes()), values.iter().cloned().collect());
        let mut ldap = self.ldap.clone();
        let request = async move { ldap.with_controls(control()).modify(dn, vec![part]).await };
        self.rehearse(request).await
    }

    /// The result code of giving an entry the name that it has.
    pub(crate) async fn rehearse_rename(&mut self, dn: &str, rdn: &str) -> Result<u32, Error> {
        let mut ldap = self.ldap.clone();
        let request = async move { ldap.with_controls(control()).modifydn(dn, rdn, true, None).await };
        self.rehearse(request).await
    }

    async fn rehearse(&mut self, request: impl Future<Output = Result<LdapResult, LdapError>>) -> Result<u32, Error> {
        let limit = self.operation_timeout;
        Ok(self.operate(Step::Write, limit, request).await?.rc)
    }
}

fn control() -> RawControl {
    RawControl { ctype: NO_OP.to_owned(), crit: true, val: None }
}

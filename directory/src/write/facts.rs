//! What an entry says of itself: who needs it, and whether it is our own.

use super::attributes::Values;
use super::gate::Facts;
use super::work::Work;
use crate::flavour::Flavour;
use crate::kinds;
use postern_dn::Dn;

/// Relative identifiers below this belong to accounts and groups that the system made (MS-SAMR §3.1.1.9.2.1).
const FIRST_OWN_RID: u32 = 1_000;
/// Asked for of every entry that is to be written.
const ACTIVE_DIRECTORY: &[&str] =
    &["adminCount", "isCriticalSystemObject", "objectSid", "sAMAccountName", "userPrincipalName", "primaryGroupID"];
const OTHERS: &[&str] = &["uid"];

/// The attributes from which [`Facts`] are read.
pub(crate) fn names(flavour: Flavour) -> &'static [&'static str] {
    if flavour == Flavour::ActiveDirectory { ACTIVE_DIRECTORY } else { OTHERS }
}

impl Work<'_> {
    /// What an entry says of itself.
    pub(crate) fn facts(&self, dn: &Dn, values: &Values) -> Facts {
        let is = |name, value: &str| values.text(name).is_some_and(|text| text.eq_ignore_ascii_case(value));
        let sid = values.first("objectSid").map(|sid| kinds::sid(sid));
        Facts {
            admin_count: is("adminCount", "1"),
            is_critical: is("isCriticalSystemObject", "TRUE"),
            is_builtin: sid
                .is_some_and(|(of_the_server, rid)| of_the_server || rid.is_some_and(|rid| rid < FIRST_OWN_RID)),
            is_bind_account: self.is_bind_account(dn, values),
            protected_group: None,
            protected_below: None,
        }
    }

    fn is_bind_account(&self, dn: &Dn, values: &Values) -> bool {
        if self.session.own_dn.as_ref() == Some(dn) {
            return true;
        }
        let Some(name) = self.config.bind_dn.as_deref() else { return false };
        if name.contains('=') {
            return Dn::parse(name).is_ok_and(|own| own == *dn);
        }
        let account = name.rsplit('\\').next().unwrap_or(name);
        let account = account.split('@').next().unwrap_or(account);
        let is = |attribute, value: &str| values.text(attribute).is_some_and(|text| text.eq_ignore_ascii_case(value));
        is("userPrincipalName", name) || is("sAMAccountName", account)
    }
}

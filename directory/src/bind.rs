//! What the answer to a bind says of the account: only a wrong password is one. The result code alone does not say so;
//! the
//! server's words and the controls beside it do.

use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};

use postern_dn::ber::{self, Malformed, Reader};

/// Asks for what the password policy has to say (draft-behera-ldap-password-policy); servers without one ignore it.
pub(crate) const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// Netscape's control: the password has expired or must be changed.
const PASSWORD_EXPIRED: &str = "2.16.840.1.113730.3.4.4";

/// Why a bind was refused, or was accepted and is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindRefusal {
    /// The name or the password is wrong. The only one that a directory counts.
    WrongPassword,
    /// There is no such account.
    UnknownAccount,
    /// The name is neither a DN nor one that Active Directory takes.
    NameForm,
    /// The password has expired.
    PasswordExpired,
    /// The password must be changed before anything else.
    MustChange,
    /// Somebody disabled the account.
    Disabled,
    /// The account itself has expired.
    AccountExpired,
    /// Wrong passwords locked the account.
    Locked,
    /// Not used for so long that the server locked it.
    Inactive,
    /// Not at this time of day.
    NotNow,
    /// Not from this machine.
    NotHere,
    /// Not over an unprotected connection.
    Unprotected,
    /// The server does not offer this way to bind.
    Method,
    /// The server cannot say just now.
    Unavailable,
    /// Another reason.
    Other,
}

impl BindRefusal {
    /// What the server's answer means; nothing where the bind was accepted and good.
    pub(crate) fn of(result: &LdapResult, bind_dn: Option<&str>) -> Option<Self> {
        let said = (result.rc != 0).then(|| by_code(result.rc, &result.text));
        let refusal = match (said, policy_error(result.rc, &result.ctrls)) {
            // 389 Directory Server calls these locked in the control, as what wrong passwords do.
            (Some(said @ (Self::Disabled | Self::Inactive)), _) | (Some(said), None) => said,
            (_, Some(found)) => found,
            (None, None) => return None,
        };
        let named = bind_dn.is_none_or(|name| name.contains(['=', '@', '\\']));
        let doubtful = matches!((refusal, result.rc), (Self::WrongPassword | Self::UnknownAccount, _) | (_, 34));
        Some(if doubtful && !named { Self::NameForm } else { refusal })
    }

    /// Whether a directory counts it among the failures that lock an account.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::WrongPassword | Self::NameForm)
    }

    /// What it means; fit to leave the site.
    pub(crate) fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::WrongPassword => "wrong account or password",
            Self::UnknownAccount => "no such account",
            Self::NameForm => "bind_dn is not a DN and has no domain",
            Self::PasswordExpired => "the bind account's password has expired",
            Self::MustChange => "the bind account's password must be changed first",
            Self::Disabled => "the bind account is disabled",
            Self::AccountExpired => "the bind account has expired",
            Self::Locked => "the bind account is locked after wrong passwords",
            Self::Inactive => "the bind account is locked because it was not used for long",
            Self::NotNow => "the bind account may not log on at this time",
            Self::NotHere => "the bind account may not log on from this machine",
            Self::Unprotected => "the server wants a protected connection",
            Self::Method => "the server does not offer this way to bind",
            Self::Unavailable | Self::Other => return None,
        })
    }

    /// What to do about it; names keys of the configuration, never their values.
    pub(crate) fn cure(self) -> &'static str {
        match self {
            Self::WrongPassword => "check bind_dn and the bind password",
            Self::UnknownAccount => "check bind_dn: the directory has no such account",
            Self::NameForm => {
                "write bind_dn as a DN, or for Active Directory as name@domain or DOMAIN\\name; the bare name is not enough"
            }
            Self::PasswordExpired => {
                "give the bind account a new password, put it into bind_password_file, and exempt the account from \
                 password expiry"
            }
            Self::MustChange => {
                "change the bind account's password as the account itself, or clear the flag that it must be changed \
                 (OpenLDAP: pwdReset; Active Directory: \"must change password at next logon\"; 389 Directory Server: \
                 passwordMustChange), then put the password into bind_password_file"
            }
            Self::Disabled => {
                "enable the bind account (Active Directory: the account's checkbox; 389 Directory Server: remove nsAccountLock)"
            }
            Self::AccountExpired => "extend the bind account's expiry date",
            Self::Locked => {
                "unlock the bind account, then correct the password that locked it (389 Directory Server: remove \
                 accountUnlockTime and passwordRetryCount; OpenLDAP: pwdAccountLockedTime)"
            }
            Self::Inactive => {
                "reactivate the bind account, and exempt it from the inactivity limit (389 Directory Server: the Account \
                 Policy plug-in)"
            }
            Self::NotNow => "allow the bind account to log on at all hours",
            Self::NotHere => "allow the bind account to log on from this machine",
            Self::Unprotected => "use ldaps:// or start_tls",
            Self::Method => "use bind_dn with a password, or a client certificate that the server maps to an account",
            Self::Unavailable => {
                "try again: the server is busy, starting, or the part of it that holds the bind account is offline; if it \
                 stays so, look in the directory server's log"
            }
            Self::Other => {
                "the server is not willing to bind this account: check its state, and look in the server's log"
            }
        }
    }
}

fn by_code(code: u32, text: &str) -> BindRefusal {
    let says = |word: &str| text.to_ascii_lowercase().contains(word);
    match code {
        49 => match active_directory_subcode(text) {
            Some(0x525) => BindRefusal::UnknownAccount,
            Some(0x530) => BindRefusal::NotNow,
            Some(0x531) => BindRefusal::NotHere,
            Some(0x532) => BindRefusal::PasswordExpired,
            Some(0x533) => BindRefusal::Disabled,
            Some(0x701) => BindRefusal::AccountExpired,
            Some(0x773) => BindRefusal::MustChange,
            Some(0x775) => BindRefusal::Locked,
            None if says("password expired") => BindRefusal::PasswordExpired,
            _ => BindRefusal::WrongPassword,
        },
        // 389 Directory Server
        19 if says("inactivity") => BindRefusal::Inactive,
        19 => BindRefusal::Locked,
        53 if says("inactivated") => BindRefusal::Disabled,
        53 if says("minimum ssf") => BindRefusal::Unprotected,
        53 if text.trim().is_empty() => BindRefusal::Unavailable,
        32 => BindRefusal::UnknownAccount,
        8 | 13 => BindRefusal::Unprotected,
        7 | 48 => BindRefusal::Method,
        1 | 10 | 51 | 52 | 80 => BindRefusal::Unavailable,
        _ => BindRefusal::Other,
    }
}

/// What the controls of the answer say: they distinguish the meanings of one result code.
fn policy_error(code: u32, controls: &[Control]) -> Option<BindRefusal> {
    let value = |name: &str| controls.iter().find(|Control(_, raw)| raw.ctype == name).map(|Control(_, raw)| raw);
    match value(PASSWORD_POLICY).and_then(|raw| policy_error_code(raw).ok().flatten()) {
        Some(0) => Some(BindRefusal::PasswordExpired),
        Some(1) => Some(BindRefusal::Locked),
        Some(2) => Some(BindRefusal::MustChange),
        // The others are about changes of passwords.
        _ => value(PASSWORD_EXPIRED)
            .map(|_| if code == 0 { BindRefusal::MustChange } else { BindRefusal::PasswordExpired }),
    }
}

/// The error number that the password policy gives beside an answer.
pub(crate) fn policy_code(controls: &[Control]) -> Option<i64> {
    let Control(_, raw) = controls.iter().find(|Control(_, raw)| raw.ctype == PASSWORD_POLICY)?;
    policy_error_code(raw).ok().flatten()
}

/// `PasswordPolicyResponseValue ::= SEQUENCE { warning [0] CHOICE OPTIONAL, error [1] ENUMERATED OPTIONAL }`.
fn policy_error_code(raw: &RawControl) -> Result<Option<i64>, Malformed> {
    let Some(value) = raw.val.as_deref() else { return Ok(None) };
    let mut outer = Reader::new(value);
    let mut parts = Reader::new(outer.require(ber::SEQUENCE)?);
    while !parts.is_empty() {
        if let Some(element) = parts.next_element()?.filter(|element| element.tag == 0x81) {
            return ber::integer(element.content).map(Some);
        }
    }
    Ok(None)
}

/// `data 52e` in what Active Directory (and Samba) say with code 49.
fn active_directory_subcode(diagnostic: &str) -> Option<u32> {
    let (_, rest) = diagnostic.split_once("data ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    u32::from_str_radix(&digits, 16).ok().filter(|code| *code != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rc: u32, text: &str, control: Option<(&str, &[u8])>) -> LdapResult {
        let control = control.map(|(name, value)| {
            Control(None, RawControl { ctype: name.to_owned(), crit: false, val: Some(value.to_vec()) })
        });
        let (matched, refs) = (String::new(), Vec::new());
        LdapResult { rc, matched, text: text.to_owned(), refs, ctrls: control.into_iter().collect() }
    }

    fn refusal(rc: u32, text: &str) -> Option<BindRefusal> {
        BindRefusal::of(&answer(rc, text, None), Some("cn=reader"))
    }

    #[test]
    fn only_a_wrong_password_is_one() {
        let data = |code: &str| {
            format!("80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {code}, v2580")
        };
        let table = [
            (49, String::new(), BindRefusal::WrongPassword),
            (49, data("52e"), BindRefusal::WrongPassword),
            (49, data("525"), BindRefusal::UnknownAccount),
            (49, data("530"), BindRefusal::NotNow),
            (49, data("531"), BindRefusal::NotHere),
            (49, data("532"), BindRefusal::PasswordExpired),
            (49, data("533"), BindRefusal::Disabled),
            (49, data("701"), BindRefusal::AccountExpired),
            (49, data("773"), BindRefusal::MustChange),
            (49, data("775"), BindRefusal::Locked),
            (49, "password expired!".to_owned(), BindRefusal::PasswordExpired),
            (19, "Exceed password retry limit. Contact system administrator to reset.".to_owned(), BindRefusal::Locked),
            (19, "Account inactivity limit exceeded.".to_owned(), BindRefusal::Inactive),
            (53, "Account inactivated. Contact system administrator.".to_owned(), BindRefusal::Disabled),
            (53, "Minimum SSF not met.".to_owned(), BindRefusal::Unprotected),
            (53, String::new(), BindRefusal::Unavailable),
            (51, String::new(), BindRefusal::Unavailable),
            (48, String::new(), BindRefusal::Method),
        ];
        for (code, text, expected) in table {
            assert_eq!(refusal(code, &text), Some(expected), "{code} {text}");
            assert_eq!(expected.counts(), expected == BindRefusal::WrongPassword, "{code} {text}");
        }
        assert_eq!(refusal(0, ""), None);
    }

    #[test]
    fn an_accepted_bind_with_a_password_that_must_be_changed_is_of_no_use() {
        let policy = |value: &'static [u8]| answer(0, "", Some((PASSWORD_POLICY, value)));
        let must_change = policy(b"\x30\x03\x81\x01\x02");
        assert_eq!(BindRefusal::of(&must_change, None), Some(BindRefusal::MustChange));
        let only_a_warning = policy(b"\x30\x05\xa0\x03\x80\x01\x0a");
        assert_eq!(BindRefusal::of(&only_a_warning, None), None);
        assert_eq!(BindRefusal::of(&policy(b"\x30\x7f"), None), None, "what cannot be read says nothing");
        let locked = Some((PASSWORD_POLICY, &b"\x30\x03\x81\x01\x01"[..]));
        let said = |code, text| BindRefusal::of(&answer(code, text, locked), None);
        assert_eq!(said(49, ""), Some(BindRefusal::Locked));
        assert_eq!(said(53, "Account inactivated. Contact system administrator."), Some(BindRefusal::Disabled));
    }

    #[test]
    fn a_bare_name_is_said_to_be_one() {
        let refused = |code, name| BindRefusal::of(&answer(code, "", None), Some(name));
        assert_eq!(refused(49, "svc-reader"), Some(BindRefusal::NameForm));
        assert_eq!(refused(34, "svc-reader"), Some(BindRefusal::NameForm));
        assert_eq!(refused(49, "CORP\\svc-reader"), Some(BindRefusal::WrongPassword));
        assert_eq!(refused(49, "svc-reader@corp.example"), Some(BindRefusal::WrongPassword));
    }
}

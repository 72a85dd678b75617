//! What a directory's refusal of a write means: by result code and, from Active Directory, the number at the start of its
//! words. The words themselves differ between versions and languages.

use std::fmt;

use thiserror::Error;

/// What was asked of the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A new entry.
    Add,
    /// Attributes of an entry.
    Modify,
    /// Another name or place.
    Rename,
    /// The end of an entry.
    Delete,
    /// A password.
    SetPassword,
    /// Members of a group.
    Members,
}

/// A directory that said no.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{action} was refused with result code {code}{}", said(.diagnostic))]
pub struct Refusal {
    /// What was asked.
    pub action: Action,
    /// The result code (RFC 4511 §4.1.9).
    pub code: u32,
    /// Active Directory's own number (MS-ERREF), from the start of its words.
    pub subcode: Option<u32>,
    /// What the password policy says (draft-behera-ldap-password-policy §6.2).
    pub policy: Option<i64>,
    /// The attribute that it is about, where that is known.
    pub attribute: Option<String>,
    /// The server's own words. They may hold DNs and never leave.
    pub diagnostic: String,
}

/// `ERROR_PASSWORD_RESTRICTION`: the password is too short, too simple, too young, or was used before.
const PASSWORD_RESTRICTION: u32 = 0x52D;

/// `ERROR_USER_EXISTS` and `ERROR_GROUP_EXISTS`: the login is taken.
const USER_EXISTS: u32 = 0x524;
const GROUP_EXISTS: u32 = 0x526;
/// `ERROR_NO_SUCH_USER`: said of a member.
const NO_SUCH_MEMBER: u32 = 0x525;
/// `ERROR_DS_UPN_VALUE_NOT_UNIQUE_IN_FOREST`
const PRINCIPAL_TAKEN: u32 = 0x21C8;
/// `ERROR_DS_ATT_NOT_DEF_FOR_CLASS`
const NOT_IN_CLASS: u32 = 0x207D;

/// `ERROR_DS_CANT_FIND_EXPECTED_NC` and its like: Samba and Windows say so of a container that does not exist.
const NO_PARENT: u32 = 0x2095;

impl Refusal {
    /// From an answer.
    pub(crate) fn new(action: Action, code: u32, diagnostic: &str, policy: Option<i64>) -> Self {
        Self { action, code, subcode: subcode(diagnostic), policy, attribute: None, diagnostic: diagnostic.to_owned() }
    }

    /// The same, about one attribute.
    pub(crate) fn of(self, attribute: &str) -> Self {
        Self { attribute: Some(attribute.to_owned()), ..self }
    }

    /// Whether the directory's rules for passwords were broken.
    pub fn is_password_policy(&self) -> bool {
        self.subcode == Some(PASSWORD_RESTRICTION)
            || self.policy.is_some_and(|error| (3..=8).contains(&error))
            || (self.action == Action::SetPassword && self.code == 19)
    }

    /// Whether this is about single attributes or values, so that others may be written without them.
    pub(crate) fn is_of_attributes(&self) -> bool {
        // Of a change of values, 68 says that Active Directory keeps one unique, such as sAMAccountName.
        matches!(self.code, 16..=21 | 34 | 50 | 53 | 64 | 65 | 67 | 68 | 69)
    }

    /// Whether it may mean that somebody else has a name or a value that is to be unique.
    pub(crate) fn may_be_taken(&self) -> bool {
        matches!(self.code, 19 | 68) && !self.is_password_policy()
    }

    /// The attribute whose value somebody else has, where the number alone says so.
    pub(crate) fn taken(&self) -> Option<&'static str> {
        match self.subcode? {
            USER_EXISTS | GROUP_EXISTS => Some("sAMAccountName"),
            PRINCIPAL_TAKEN => Some("userPrincipalName"),
            _ => None,
        }
    }

    pub(crate) fn public_message(&self) -> String {
        let about =
            self.attribute.as_ref().map_or_else(|| self.action.to_string(), |name| format!("{name}: {}", self.action));
        format!("{about} was refused: {} (result code {}{})", self.meaning(), self.code, self.number())
    }

    fn number(&self) -> String {
        self.subcode.map_or_else(String::new, |subcode| format!(", {subcode:08X}"))
    }

    pub(crate) fn retryable(&self) -> bool {
        matches!(self.code, 3 | 51 | 52)
    }

    pub(super) fn meaning(&self) -> &'static str {
        if let Some(words) = self.policy.and_then(password_rule) {
            return words;
        }
        if let Some((words, _)) = self.subcode.and_then(of_number) {
            return words;
        }
        match (self.code, self.subcode, self.action) {
            (_, Some(NO_PARENT), _) => "the container does not exist, or may not be seen",
            (_, Some(PASSWORD_RESTRICTION), _) => {
                "the password breaks the directory's rules: too short, too simple, used before, or changed too recently"
            }
            (_, Some(0x56), _) => "the old password is wrong",
            (19, _, Action::SetPassword) => "the password breaks the directory's rules",
            (1, ..) => "the directory has an internal error",
            (8 | 13, ..) => "the directory wants an encrypted connection for this",
            (10 | 71, ..) => "another server holds this part of the directory",
            (11, ..) => "it takes more work than the directory allows",
            (12, ..) => "the directory does not know a control that is needed",
            (16, ..) => "the entry has no such attribute or value, or the schema does not know the attribute",
            (17, ..) => "the schema does not know this attribute",
            (19, ..) => "a value breaks a rule of the directory: its length, its form, or that it is unique",
            (20, ..) => "the entry has this value already, or the attribute takes only one value",
            (21, ..) => "a value does not have the form that the schema asks for",
            (32, ..) => "the entry, its container or a member does not exist, or may not be seen",
            (34, ..) => "a DN is not valid here",
            (49, ..) => "the bind was refused",
            (50, ..) => "the bind account lacks the right to do this",
            (51 | 52, ..) => "the server is busy or not available",
            (53, _, Action::SetPassword) => "the directory is not willing to set this password",
            (53, ..) => "the directory is not willing to do this",
            (64, ..) => "the name does not fit the entry's class or place",
            (65, ..) => "the object classes ask for an attribute that is missing, or do not allow one that is there",
            (66, ..) => "the entry has other entries below it",
            (67, ..) => "the attribute names the entry and can only be changed by renaming it",
            (68, _, Action::Members) => "the member is there already",
            (68, _, Action::Delete) => "the group is the primary group of a user",
            (68, ..) => "another entry has this name or unique value already",
            (69, ..) => "the kind of an entry cannot be changed",
            (122, ..) => "the entry was changed meanwhile",
            _ => "the directory gives no reason that is known",
        }
    }

    pub(crate) fn cure(&self) -> Option<&'static str> {
        if self.is_password_policy() {
            return Some("choose a password that is longer, mixes kinds of characters and was not used before");
        }
        if self.subcode == Some(NO_PARENT) {
            return Some("create the container first, or correct the expression that names it");
        }
        if let Some((_, cure)) = self.subcode.and_then(of_number) {
            return Some(cure);
        }
        Some(match (self.code, self.action) {
            (1 | 80, _) => "look in the directory server's log",
            (8 | 13, _) => "use an ldaps:// address in urls, or set start_tls = true",
            (10, _) => "put the address of the server that holds this part, and accepts writes, into urls",
            (11, _) => "raise the server's limits for the bind account",
            (16 | 17, _) => "correct the attribute's name in the mapping, or extend the directory's schema",
            (19, _) => "shorten or correct the value, or choose one that nobody else has",
            (20, _) => "map only one value to this attribute",
            (21, _) => "correct the mapping so that the value has the form of the attribute",
            (32, Action::Add | Action::Rename) => "create the container first, or correct the expression that names it",
            (32, _) => "run an import: something of this was deleted or moved meanwhile",
            (34, _) => "correct the value that becomes a DN",
            (49, _) => {
                "run postern-agent check at the site: it tries bind_dn and its password, and says whether the account is \
                 disabled, locked or expired"
            }
            (50, Action::SetPassword) => {
                "give the bind account the right to reset passwords (Active Directory: Reset password; OpenLDAP: write on \
                 userPassword)"
            }
            (50, _) => {
                "give the bind account the right to write this; postern-agent check lists what is needed. In Active \
                 Directory, administrators and their like do not inherit such rights"
            }
            (51 | 52 | 122, _) => "nothing to do: it is tried again",
            (53, _) => "look in the directory server's log for the reason; the server may be read-only",
            (64 | 67, _) => "rename the entry instead of writing the attribute that names it",
            (65 | 69, _) => {
                "compare the object classes in [directory.write] and the mapping with the directory's schema"
            }
            (66, _) => "delete or move the entries below it first",
            (68, Action::Delete) => "give the users another primary group first",
            (68, _) => "choose another value, or link the user to the entry that has it",
            (71, _) => "move entries only within one database of the directory",
            _ => return None,
        })
    }
}

/// What some numbers of Active Directory say beyond the result code: the words, and the cure.
fn of_number(number: u32) -> Option<(&'static str, &'static str)> {
    Some(match number {
        USER_EXISTS => {
            ("a user or computer has this login already", "choose another login, or link the user to that entry")
        }
        GROUP_EXISTS => ("a group has this login already", "choose another login, or give the group another one"),
        NO_SUCH_MEMBER => (
            "a member does not exist, or may not be seen",
            "run an import: the member was deleted or moved meanwhile, or is hidden from the bind account",
        ),
        PRINCIPAL_TAKEN => (
            "somebody in the forest has this userPrincipalName already",
            "choose another userPrincipalName; whoever has it may be in another domain of the forest",
        ),
        NOT_IN_CLASS => (
            "the entry's object class does not have this attribute",
            "take the attribute out of the mapping, or add the object class that has it to [directory.write]",
        ),
        _ => return None,
    })
}

/// Errors of draft-behera-ldap-password-policy §6.2 that concern a new password.
fn password_rule(error: i64) -> Option<&'static str> {
    Some(match error {
        2 => "the bind account must change its own password first",
        3 => "the password policy does not allow this password to be changed",
        4 => "the password policy asks for the old password",
        5 => "the password does not meet the directory's rules for passwords",
        6 => "the password is too short",
        7 => "the password was changed too recently",
        8 => "the password was used before",
        9 => "the password is too long",
        _ => return None,
    })
}

/// `0000052D: …`: eight hex digits and a colon.
fn subcode(diagnostic: &str) -> Option<u32> {
    let (digits, rest) = diagnostic.trim_start().split_at_checked(8)?;
    let valid = rest.starts_with(':') && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| valid)
}

/// The server's own words behind what they are about; many servers have none.
fn said(diagnostic: &str) -> String {
    match diagnostic.trim().trim_end_matches('\0') {
        "" => String::new(),
        words => format!(" ({words})"),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Add => "the new entry",
            Self::Modify => "the change",
            Self::Rename => "the new name or place",
            Self::Delete => "the deletion",
            Self::SetPassword => "the password",
            Self::Members => "the change of members",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_says_more_by_its_number() {
        let refusal = |code, text: &str| Refusal::new(Action::Modify, code, text, None);
        let weak = refusal(53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0");
        assert!(weak.is_password_policy() && weak.public_message().contains("too short"), "{weak:?}");
        assert_eq!(refusal(68, "").subcode, None);
        assert_eq!(refusal(68, "deadbeef").subcode, None);
        assert_eq!(refusal(16, "0000200A: objectclass: x").subcode, Some(0x200A));
    }

    #[test]
    fn numbers_of_active_directory_are_told_apart() {
        let of = |action, code, number: &str| {
            Refusal::new(action, code, &format!("{number}: UpdErr: DSID-031A11E2, problem 6005, data 0"), None)
        };
        let cases = [
            (
                of(Action::Add, 68, "00000524"),
                "a user or computer has this login",
                "choose another login",
                Some("sAMAccountName"),
            ),
            (
                of(Action::Add, 68, "00000526"),
                "a group has this login",
                "give the group another one",
                Some("sAMAccountName"),
            ),
            (
                of(Action::Add, 19, "000021C8"),
                "has this userPrincipalName",
                "another domain of the forest",
                Some("userPrincipalName"),
            ),
            (of(Action::Members, 32, "00000525"), "a member does not exist", "the member was deleted", None),
            (of(Action::Modify, 65, "0000207D"), "does not have this attribute", "out of the mapping", None),
            (of(Action::Modify, 16, "0000207D"), "does not have this attribute", "out of the mapping", None),
            // The same codes with other numbers.
            (of(Action::Add, 68, "00002071"), "another entry has this name", "choose another value", None),
            (of(Action::Add, 19, "0000202F"), "a value breaks a rule", "that nobody else has", None),
            (of(Action::Members, 32, "00002030"), "the entry, its container or a member", "run an import", None),
        ];
        for (refusal, words, cure, taken) in cases {
            assert!(refusal.public_message().contains(words), "{}", refusal.public_message());
            assert!(refusal.cure().is_some_and(|text| text.contains(cure)), "{refusal:?}: {:?}", refusal.cure());
            assert_eq!(refusal.taken(), taken, "{refusal:?}");
        }
    }

    #[test]
    fn a_refused_bind_says_where_to_look() {
        let refusal = Refusal::new(Action::Modify, 49, "80090308: LdapErr: data 52e", None);
        assert!(refusal.public_message().contains("the bind was refused"), "{}", refusal.public_message());
        assert!(refusal.cure().is_some_and(|cure| cure.contains("postern-agent check")), "{:?}", refusal.cure());
        assert!(!refusal.may_be_taken() && !refusal.retryable());
    }

    #[test]
    fn a_password_that_is_too_weak_is_nobody_elses() {
        assert!(!Refusal::new(Action::Add, 19, "0000052D: check_password_restrictions", None).may_be_taken());
        assert!(!Refusal::new(Action::SetPassword, 19, "", None).may_be_taken());
        assert!(Refusal::new(Action::Add, 19, "non-unique attributes found with (|(uid=anna))", None).may_be_taken());
    }

    #[test]
    fn what_leaves_holds_none_of_the_servers_words() {
        for code in 0..130 {
            for action in [Action::Add, Action::Modify, Action::Rename, Action::Delete, Action::SetPassword] {
                let refusal = Refusal::new(action, code, "0000208D: cn=secret,dc=corp", None);
                assert!(!refusal.public_message().contains("secret"), "{}", refusal.public_message());
                assert!(refusal.to_string().contains("cn=secret"), "the site's log has them");
            }
        }
    }

    #[test]
    fn every_usual_refusal_has_words_and_a_cure() {
        for code in [1, 8, 10, 11, 13, 16, 17, 19, 20, 21, 32, 34, 49, 50, 51, 53, 64, 65, 66, 67, 68, 69, 71, 122] {
            let refusal = Refusal::new(Action::Modify, code, "", None);
            assert!(!refusal.public_message().contains("no reason that is known"), "{code}");
            assert!(refusal.cure().is_some(), "{code}");
        }
        let no_container = Refusal::new(Action::Rename, 80, "00002095: objectclass: Cannot rename", None);
        assert!(no_container.public_message().contains("container") && no_container.cure().is_some());
        assert!(Refusal::new(Action::Add, 51, "", None).retryable() && !no_container.retryable());
    }

    #[test]
    fn the_password_policy_names_the_rule() {
        let refusal = Refusal::new(Action::SetPassword, 19, "Password fails quality checking policy", Some(6));
        assert!(refusal.public_message().contains("too short") && refusal.is_password_policy());
    }
}

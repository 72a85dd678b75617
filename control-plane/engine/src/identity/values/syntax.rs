//! The syntax of an attribute's values, by its name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Value, from_filetime, ids, parse_generalized_time};

/// How the values of an attribute are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Text. Bytes that are no text are written in base64.
    #[default]
    Text,
    /// A whole number.
    Number,
    /// `TRUE` or `FALSE`.
    Boolean,
    /// Generalized time.
    Time,
    /// FILETIME: a number; 0 and the largest number mean never.
    FileTime,
    /// A GUID of 16 bytes.
    Guid,
    /// A SID.
    Sid,
    /// The name of another entry. Its values are text.
    Dn,
    /// Bytes.
    Bytes,
}

/// Standard names in lower case. What is not listed is text.
const NUMBERS: &[&str] = &[
    "admincount",
    "badpwdcount",
    "codepage",
    "countrycode",
    "gidnumber",
    "grouptype",
    "instancetype",
    "logoncount",
    "msds-supportedencryptiontypes",
    "msds-user-account-control-computed",
    "passwordretrycount",
    "primarygroupid",
    "samaccounttype",
    "shadowexpire",
    "shadowflag",
    "shadowinactive",
    "shadowlastchange",
    "shadowmax",
    "shadowmin",
    "shadowwarning",
    "uidnumber",
    "useraccountcontrol",
    "usnchanged",
    "usncreated",
];
const BOOLEANS: &[&str] = &[
    "iscriticalsystemobject",
    "isdeleted",
    "isrecycled",
    "msexchhidefromaddresslists",
    "msnpallowdialin",
    "nsaccountlock",
    "pwdreset",
    "showinadvancedviewonly",
];
const TIMES: &[&str] = &[
    "accountunlocktime",
    "createtimestamp",
    "dscorepropagationdata",
    "lastlogintime",
    "modifytimestamp",
    "msexchwhenmailboxcreated",
    "passwordexpirationtime",
    "pwdaccountlockedtime",
    "pwdchangedtime",
    "pwdlastsuccess",
    "whenchanged",
    "whencreated",
];
const FILETIMES: &[&str] = &[
    "accountexpires",
    "badpasswordtime",
    "lastlogoff",
    "lastlogon",
    "lastlogontimestamp",
    "lockouttime",
    "msds-lastsuccessfulinteractivelogontime",
    "msds-userpasswordexpirytimecomputed",
    "pwdlastset",
];
const GUIDS: &[&str] = &["ms-ds-consistencyguid", "msexchmailboxguid", "objectguid"];
const SIDS: &[&str] = &["objectsid", "sidhistory", "tokengroups"];
const DNS: &[&str] = &[
    "assistant",
    "directreports",
    "distinguishedname",
    "entrydn",
    "managedby",
    "managedobjects",
    "manager",
    "member",
    "memberof",
    "objectcategory",
    "owner",
    "roleoccupant",
    "secretary",
    "seealso",
    "uniquemember",
];

impl Syntax {
    /// Of the attribute of this standard name, without options, in lower case.
    pub fn of(name: &str) -> Self {
        let tables = [
            (NUMBERS, Self::Number),
            (BOOLEANS, Self::Boolean),
            (TIMES, Self::Time),
            (FILETIMES, Self::FileTime),
            (GUIDS, Self::Guid),
            (SIDS, Self::Sid),
            (DNS, Self::Dn),
        ];
        let known = tables.into_iter().find(|(names, _)| names.binary_search(&name).is_ok());
        known.map_or(Self::Text, |(_, syntax)| syntax)
    }

    /// What its values are, in errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Time => "a generalized time",
            Self::FileTime => "a FILETIME",
            Self::Guid => "a GUID",
            Self::Sid => "a SID",
            Self::Dn => "a DN",
            Self::Bytes => "bytes",
        }
    }

    /// Reads a value. `None`: it is none of this syntax.
    pub fn read(self, value: &[u8]) -> Option<Value> {
        let text = || std::str::from_utf8(value).ok().map(str::trim);
        Some(match self {
            Self::Text | Self::Dn => std::str::from_utf8(value).map_or_else(|_| base64(value), Value::text),
            Self::Bytes => base64(value),
            Self::Number => Value::Number(text()?.parse().ok()?),
            Self::Boolean if text()?.eq_ignore_ascii_case("true") => Value::Bool(true),
            Self::Boolean if text()?.eq_ignore_ascii_case("false") => Value::Bool(false),
            Self::Boolean => return None,
            // OpenLDAP: locked for ever.
            Self::Time if text()? == "000001010000Z" => Value::Null,
            Self::Time => Value::Time(parse_generalized_time(text()?)?),
            Self::FileTime => from_filetime(text()?.parse().ok()?).map_or(Value::Null, Value::Time),
            Self::Guid => Value::text(ids::guid(value)?),
            Self::Sid => Value::text(ids::sid(value)?),
        })
    }
}

/// The primary address among `proxyAddresses`: the one whose type is written in capitals.
pub fn primary_mail<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<&'v str> {
    let mut texts = values.filter_map(|value| std::str::from_utf8(value).ok());
    texts.find_map(|text| text.strip_prefix("SMTP:")).map(str::trim).filter(|mail| !mail.is_empty())
}

fn base64(value: &[u8]) -> Value {
    Value::text(STANDARD.encode(value))
}

//! Whether a directory lets a user in, switched. Active Directory keeps it as one bit among others, so that the number is
//! never written whole: the old one is taken away and the new one added, and the server refuses if it changed meanwhile.

mod switch;

use bytes::Bytes;

use super::gate::Kind;
use super::operation::Subject;
use super::outcome::{Done, Effect};
use super::protected::Plan;
use super::request::Part;
use super::target::Target;
use super::work::Work;
use crate::config::DisableBy;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure};
use crate::flavour::Flavour;

pub(crate) use self::switch::{LOCKED_FOR_GOOD, Switch};

const MOST_TRIES: u32 = 4;
/// noSuchAttribute: the value that was to be taken away is not there any more.
pub(crate) const CHANGED: u32 = 16;

/// `ADS_UF_ACCOUNTDISABLE` (MS-ADTS §2.2.16).
pub(crate) const ACCOUNT_DISABLED: i64 = 0x2;

pub(crate) const CONTROL: &str = "userAccountControl";

impl Work<'_> {
    /// Lets a user in, or keeps one out.
    pub(crate) async fn turn(&mut self, subject: &Subject, on: bool) -> Result<Done, Error> {
        if self.phase != Phase::Users {
            return Err(Failure::invalid("operation", "only users are enabled and disabled").into());
        }
        let kind = if on { Kind::Enable } else { Kind::Disable };
        for _ in 0..MOST_TRIES {
            let names: Vec<String> = if self.is_active_directory() {
                [CONTROL, "pwdLastSet", WRITTEN_ATTRIBUTES].map(str::to_owned).to_vec()
            } else {
                vec![self.switch()?.attribute]
            };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut target = self.target(subject, &names).await?;
            self.allowed(kind, &mut target, Plan::default()).await?;
            let parts = if self.is_active_directory() {
                control_parts(&target, on)?
            } else {
                let switch = self.switch()?;
                switch.parts(target.values.of(&self.session.schema, &switch.attribute), on)
            };
            if parts.is_empty() {
                return self.finish(&target.text, Done::new(Effect::AlreadySo)).await;
            }
            if on && self.is_active_directory() {
                has_password(&target)?;
            }
            match self.session.modify(Action::Modify, &target.text, parts).await {
                Ok(()) => return self.finish(&target.text, Done::new(Effect::Changed)).await,
                Err(Error::Write(Failure::Refused(refusal))) if matches!(refusal.code, CHANGED | 20) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Failure::KeepsChanging.into())
    }

    /// How a directory that is no Active Directory keeps a user out.
    pub(crate) fn switch(&self) -> Result<Switch, Failure> {
        match (&self.write.disable, self.flavour()) {
            (Some(by), _) => Ok(Switch::new(by, self.write)),
            (None, Flavour::Ds389) => {
                let (name, value) = ("nsAccountLock".to_owned(), "true".to_owned());
                Ok(Switch::new(&DisableBy::Attribute { name, value }, self.write))
            }
            (None, _) => Err(Failure::Setting {
                key: "disable",
                cure: "say there how this directory keeps a user out: disable = \"ppolicy\" for OpenLDAP with its password \
                       policy, or an attribute with its value",
            }),
        }
    }
}

/// The parts that flip the bit; none: it is as wanted.
pub(crate) fn control_parts(target: &Target, on: bool) -> Result<Vec<Part>, Failure> {
    let now = target.values.text(CONTROL).and_then(|text| text.parse::<i64>().ok());
    let now = now.ok_or_else(|| Failure::invalid(CONTROL, "the bind account cannot read it"))?;
    let wanted = if on { now & !ACCOUNT_DISABLED } else { now | ACCOUNT_DISABLED };
    if wanted == now {
        return Ok(Vec::new());
    }
    Ok(number_parts(CONTROL, now, wanted))
}

/// Takes one number away and adds another.
pub(crate) fn number_parts(name: &str, now: i64, wanted: i64) -> Vec<Part> {
    let value = |number: i64| vec![Bytes::from(number.to_string())];
    vec![Part::Delete(name.to_owned(), value(now)), Part::Add(name.to_owned(), value(wanted))]
}

/// When and how often each attribute was written (MS-ADTS §3.1.1.4.5.38).
pub(crate) const WRITTEN_ATTRIBUTES: &str = "replPropertyMetaData";

/// `supplementalCredentials` in the schema's prefix table (MS-DRSR §5.16.4): 1.2.840.113556.1.4.125. It is written with
/// each password, while `unicodePwd` counts as written from the beginning.
const CREDENTIALS: u32 = 0x0009_007D;

/// `isDeleted` (1.2.840.113556.1.2.48) in the same table: only who was deleted and brought back has it written.
const IS_DELETED: u32 = 0x0002_0030;

/// Refuses to enable an account that never had a password, or lost it when it was deleted: Samba would let everybody in by
/// it, Windows refuses itself.
pub(crate) fn has_password(target: &Target) -> Result<(), Failure> {
    let was_set = target.values.text("pwdLastSet").is_some_and(|time| time != "0");
    let changes = target.values.first(WRITTEN_ATTRIBUTES);
    let at = |attribute| changes.and_then(|changes| switch::written_at(changes, attribute));
    let has_one = match (at(CREDENTIALS), at(IS_DELETED)) {
        (written, Some(deleted)) => written > Some(deleted),
        (written, None) => was_set || written.is_some(),
    };
    if has_one {
        return Ok(());
    }
    Err(Failure::NoPassword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bits_stay_when_one_is_flipped() {
        let parts = number_parts(CONTROL, 0x1_0200, 0x1_0200 | ACCOUNT_DISABLED);
        let value = |text: &'static str| vec![Bytes::from_static(text.as_bytes())];
        let name = || CONTROL.to_owned();
        assert_eq!(parts, [Part::Delete(name(), value("66048")), Part::Add(name(), value("66050"))]);
    }
}

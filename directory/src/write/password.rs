//! Passwords: over encrypted connections only, in the one way that each kind of server keeps well, and never so that a
//! user who is kept out is let in by it.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::gate::Kind;
use super::operation::{NewPassword, Subject};
use super::outcome::{Done, Effect};
use super::protected::Plan;
use super::request::Part;
use super::state::{ACCOUNT_DISABLED, LOCKED_FOR_GOOD, Switch, number_parts};
use super::target::Target;
use super::work::Work;
use crate::config::DisableBy;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure};
use crate::server_url::ServerUrl;

/// `ADS_UF_DONT_EXPIRE_PASSWD` (MS-ADTS §2.2.16): with it, nobody is asked to change a password.
const NEVER_EXPIRES: i64 = 0x1_0000;
/// `passwordInHistory` (draft-behera-ldap-password-policy §6.2).
const IN_HISTORY: i64 = 8;
/// `pwdEndTime` of a user who is kept out while the password is set: no other value is taken for ours.
const MEANWHILE: &str = "19700101000001Z";

const LOCK: &str = "pwdAccountLockedTime";
const END: &str = "pwdEndTime";
const RESET: &str = "pwdReset";

impl Work<'_> {
    pub(crate) async fn set_password(&mut self, subject: &Subject, new: &NewPassword) -> Result<Done, Error> {
        if self.phase != Phase::Users {
            return Err(Failure::invalid("operation", "only users have passwords").into());
        }
        self.password_can_be_sent(new)?;
        let mut target = self.target(subject, self.password_names()).await?;
        self.allowed(Kind::SetPassword, &mut target, Plan::default()).await?;
        let effect = self.put_password(&target, new).await?;
        self.finish(&target.text, Done::new(effect)).await
    }

    /// What must be known of a user whose password is set.
    pub(crate) fn password_names(&self) -> &'static [&'static str] {
        if self.is_active_directory() { &["userAccountControl"] } else { &[LOCK, END, RESET] }
    }

    /// Whether a password may leave over this connection.
    pub(crate) fn password_can_be_sent(&self, new: &NewPassword) -> Result<(), Failure> {
        let url = self.servers.urls.get(self.session.connection.server);
        if !self.config.start_tls && !url.is_some_and(ServerUrl::is_tls) {
            return Err(Failure::Unencrypted);
        }
        if new.password.expose_secret().is_empty() {
            return Err(Failure::invalid("password", "empty"));
        }
        if new.must_change && !self.is_active_directory() && !self.session.schema.knows(RESET) {
            return Err(Failure::invalid("must_change", "this directory has no password policy that could ask for it"));
        }
        Ok(())
    }

    /// Sets the password of an entry that was read with [`Self::password_names`].
    pub(crate) async fn put_password(&mut self, target: &Target, new: &NewPassword) -> Result<Effect, Error> {
        if self.is_active_directory() {
            let control = target.values.text("userAccountControl").and_then(|text| text.parse::<i64>().ok());
            if new.must_change && control.is_some_and(|control| control & NEVER_EXPIRES != 0) {
                let reason = "this account's password never expires, so that nobody would be asked to change it";
                return Err(Failure::invalid("must_change", reason).into());
            }
            self.session.modify(Action::SetPassword, &target.text, active_directory_parts(new)).await?;
            return Ok(Effect::Changed);
        }
        let locked =
            Switch::new(&DisableBy::PasswordPolicy, self.write).is_off(target.values.of(&self.session.schema, LOCK));
        let meanwhile = target.values.text(END) == Some(MEANWHILE);
        let effect = if locked || meanwhile {
            self.reset_locked(target, &new.password, meanwhile).await?
        } else {
            self.reset(target, &new.password, true).await?
        };
        self.ask_for_change(target, new.must_change).await?;
        Ok(effect)
    }

    /// Gives a new account of Active Directory its password, and enables it in the same request.
    pub(crate) async fn complete_account(
        &mut self,
        target: &Target,
        new: &NewPassword,
        enabled: bool,
    ) -> Result<(), Error> {
        let mut parts = active_directory_parts(new);
        let now = target.values.text("userAccountControl").and_then(|text| text.parse::<i64>().ok());
        if let Some(now) = now.filter(|now| enabled && now & ACCOUNT_DISABLED != 0) {
            parts.extend(number_parts("userAccountControl", now, now & !ACCOUNT_DISABLED));
        }
        self.session.modify(Action::SetPassword, &target.text, parts).await
    }

    async fn reset(&mut self, target: &Target, password: &SecretString, may_bind: bool) -> Result<Effect, Error> {
        match self.session.reset_password(&target.text, password).await {
            Ok(()) => Ok(Effect::Changed),
            // A reset that was done is refused when it is repeated: the new password is in the history.
            Err(Error::Write(Failure::Refused(refusal))) if refusal.policy == Some(IN_HISTORY) => {
                if self.again || (may_bind && self.is_password(target, password).await?) {
                    return Ok(Effect::AlreadySo);
                }
                Err(Failure::Refused(refusal).into())
            }
            Err(error) => Err(error),
        }
    }

    /// A reset takes the lock away, and the user would be let in. So a second switch that a reset leaves alone keeps the
    /// user out meanwhile. If it is found later, the lock is missing and is put back.
    async fn reset_locked(
        &mut self,
        target: &Target,
        password: &SecretString,
        meanwhile: bool,
    ) -> Result<Effect, Error> {
        let value = |text: &'static str| vec![Bytes::from_static(text.as_bytes())];
        let second = self.session.schema.knows(END) && target.values.first(END).is_none();
        if second {
            let parts = vec![Part::Add(END.to_owned(), value(MEANWHILE))];
            self.session.modify(Action::Modify, &target.text, parts).await?;
        }
        let answer = self.reset(target, password, false).await;
        let broken = answer.is_err() && !self.session.connection.is_fresh();
        if broken {
            return answer;
        }
        let mut parts = Vec::new();
        let now = self.read(&target.text, &[LOCK]).await?.ok_or(Failure::NotFound)?;
        let lock = now.values.of(&self.session.schema, LOCK).to_vec();
        if !lock.iter().any(|time| time.as_ref() == LOCKED_FOR_GOOD.as_bytes()) {
            parts.extend((!lock.is_empty()).then(|| Part::Delete(LOCK.to_owned(), lock)));
            parts.push(Part::Add(LOCK.to_owned(), value(LOCKED_FOR_GOOD)));
        }
        if second || meanwhile {
            parts.push(Part::Delete(END.to_owned(), value(MEANWHILE)));
        }
        if !parts.is_empty() {
            self.session.modify(Action::Modify, &target.text, parts).await?;
        }
        answer
    }

    /// Whether the user is asked for another password at the next logon.
    async fn ask_for_change(&mut self, target: &Target, wanted: bool) -> Result<(), Error> {
        if !self.session.schema.knows(RESET) {
            return Ok(());
        }
        let now = self.read(&target.text, &[RESET]).await?.ok_or(Failure::NotFound)?;
        let now = now.values.text(RESET).is_some_and(|text| text.eq_ignore_ascii_case("TRUE"));
        if now == wanted {
            return Ok(());
        }
        let values = if wanted { vec![Bytes::from_static(b"TRUE")] } else { Vec::new() };
        self.session.modify(Action::SetPassword, &target.text, vec![Part::Replace(RESET.to_owned(), values)]).await
    }

    /// Whether this is the user's password. A wrong one counts as one failed logon.
    pub(crate) async fn is_password(&self, target: &Target, password: &SecretString) -> Result<bool, Error> {
        let connection = &self.session.connection;
        let Some(url) = self.servers.urls.get(connection.server) else { return Ok(false) };
        let mut other = self.servers.reach(url, Some(connection.address)).await?;
        other.can_bind(&target.text, password).await
    }
}

/// Active Directory takes a password in quotes, in UTF-16 (MS-ADTS §3.1.1.3.1.5.1).
pub(crate) fn quoted(password: &SecretString) -> Bytes {
    let text = Zeroizing::new(format!("\"{}\"", password.expose_secret()));
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn active_directory_parts(new: &NewPassword) -> Vec<Part> {
    let password = Part::Replace("unicodePwd".to_owned(), vec![quoted(&new.password)]);
    let must_change = new.must_change.then(|| Part::Replace("pwdLastSet".to_owned(), vec![Bytes::from_static(b"0")]));
    std::iter::once(password).chain(must_change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_takes_a_password_in_quotes_and_utf_16() {
        assert_eq!(quoted(&SecretString::from("pä")).as_ref(), b"\"\0p\0\xe4\0\"\0");
    }
}

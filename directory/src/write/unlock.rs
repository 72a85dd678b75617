//! The lock that wrong passwords have caused, lifted. What keeps a user out for good is no such lock.

use bytes::Bytes;

use super::gate::Kind;
use super::operation::Subject;
use super::outcome::{Done, Effect};
use super::protected::Plan;
use super::request::Part;
use super::state::LOCKED_FOR_GOOD;
use super::target::Target;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure};
use crate::flavour::Flavour;

/// noSuchAttribute: the lock ended by itself, or somebody was quicker.
const GONE: u32 = 16;

impl Work<'_> {
    pub(crate) async fn unlock(&mut self, subject: &Subject) -> Result<Done, Error> {
        if self.phase != Phase::Users {
            return Err(Failure::invalid("operation", "only users are locked").into());
        }
        let names: &[&str] = match self.flavour() {
            Flavour::ActiveDirectory => &["lockoutTime"],
            Flavour::Ds389 => &["accountUnlockTime", "passwordRetryCount"],
            Flavour::OpenLdap | Flavour::Generic => &["pwdAccountLockedTime"],
        };
        let mut target = self.target(subject, names).await?;
        self.allowed(Kind::Unlock, &mut target, Plan::default()).await?;
        let parts = parts(self.flavour(), &target);
        if parts.is_empty() {
            return self.finish(&target.text, Done::new(Effect::AlreadySo)).await;
        }
        match self.session.modify(Action::Modify, &target.text, parts).await {
            Ok(()) => self.finish(&target.text, Done::new(Effect::Changed)).await,
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == GONE => {
                self.finish(&target.text, Done::new(Effect::AlreadySo)).await
            }
            Err(error) => Err(error),
        }
    }
}

fn parts(flavour: Flavour, target: &Target) -> Vec<Part> {
    match flavour {
        // Deleting it is refused (53).
        Flavour::ActiveDirectory => match target.values.text("lockoutTime") {
            None | Some("0") => Vec::new(),
            Some(_) => vec![Part::Replace("lockoutTime".to_owned(), vec![Bytes::from_static(b"0")])],
        },
        Flavour::Ds389 => ["accountUnlockTime", "passwordRetryCount"]
            .into_iter()
            .filter(|name| target.values.first(name).is_some())
            .map(|name| Part::Replace(name.to_owned(), Vec::new()))
            .collect(),
        Flavour::OpenLdap | Flavour::Generic => match target.values.first("pwdAccountLockedTime") {
            Some(time) if time.as_ref() != LOCKED_FOR_GOOD.as_bytes() => {
                vec![Part::Delete("pwdAccountLockedTime".to_owned(), vec![time.clone()])]
            }
            _ => Vec::new(),
        },
    }
}

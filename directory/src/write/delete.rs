//! The end of an entry. An entry that is not found was deleted only if that can be shown.

use super::failure::Failure;
use super::gate::{Intent, Kind};
use super::operation::Subject;
use super::outcome::{Done, Effect};
use super::work::Work;
use crate::error::Error;
use crate::second_look::{Sight, Sought, is_absent};

/// noSuchObject
const GONE: u32 = 32;

impl Work<'_> {
    pub(crate) async fn remove(&mut self, subject: &Subject) -> Result<Done, Error> {
        let Some(target) = self.find(subject, &[]).await? else { return self.gone(subject).await };
        self.permit(&Intent {
            kind: Kind::Delete,
            phase: self.phase,
            external_id: target.external_id.as_deref(),
            dn: &target.dn,
            destination: None,
            attributes: Vec::new(),
            groups: Vec::new(),
            members: Vec::new(),
            facts: &target.facts,
            again: self.again,
        })?;
        match self.session.delete(&target.text).await {
            Ok(()) => Ok(Done::new(Effect::Deleted)),
            // Somebody was quicker, or it was moved: the next look says which.
            Err(Error::Write(Failure::Refused(refusal))) if refusal.code == GONE => {
                let last = Subject { dn: Some(target.text.clone()), ..subject.clone() };
                match self.find(subject, &[]).await? {
                    Some(_) => Err(Failure::KeepsChanging.into()),
                    None => self.gone(&last).await,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// It is not found. That is what was wanted, if it is proven.
    async fn gone(&mut self, subject: &Subject) -> Result<Done, Error> {
        let sought = Sought {
            phase: self.phase,
            external_id: subject.external_id.clone().unwrap_or_default(),
            last_dn: subject.dn.clone().unwrap_or_default(),
        };
        let absent = match sought.last_dn.is_empty() {
            true => false,
            false => {
                let (connection, flavour) = (&mut self.session.connection, self.session.root.flavour());
                is_absent(connection, self.config, flavour, &sought).await? == Sight::Absent
            }
        };
        match (absent, self.again) {
            (true, true) => Ok(Done::new(Effect::Deleted)),
            (true, false) => Ok(Done::new(Effect::AlreadySo)),
            (false, _) => Err(Failure::AbsenceUnproven.into()),
        }
    }
}

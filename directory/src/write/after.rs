//! The entry after a write, as an import would see it.

use super::outcome::Done;
use super::read_back;
use super::work::Work;
use crate::entry::Entry;
use crate::error::{Error, Phase, Step};
use postern_dn::Dn;

const ANY: &str = "(objectClass=*)";

impl Work<'_> {
    /// Reads the entry for the outcome. Groups come without their members: a change of one member would read them all.
    pub(crate) async fn finish(&mut self, dn: &str, mut done: Done) -> Result<Done, Error> {
        let seen = self.seen(dn).await?;
        done.in_scope = seen.as_ref().is_some_and(|(_, in_scope)| *in_scope);
        done.entry = seen.map(|(entry, _)| entry);
        Ok(done)
    }

    /// Has writes bring the entry back, where the server announces that.
    pub(crate) fn bring_back(&mut self) {
        let announced = self.session.root.supported_controls.iter().any(|control| control == read_back::POST_READ);
        let section = self.section(self.phase).filter(|_| announced);
        let names = section.map(|section| [section.requested, vec![read_back::CLASS.to_owned()]].concat());
        (self.session.brought_back, self.session.left) = (names, None);
    }

    async fn seen(&mut self, dn: &str) -> Result<Option<(Entry, bool)>, Error> {
        let Some(section) = self.section(self.phase) else { return Ok(None) };
        let holds = Dn::parse(dn).is_ok_and(|dn| section.holds(&dn));
        // The last write may have brought it.
        let left = self.session.left.take().filter(|left| read_back::is_it(left, dn, &section.filter));
        let connection = &mut self.session.connection;
        let (mut message, mut in_scope) = (left, holds);
        for (filter, matches) in [(section.filter.as_ref(), true), (ANY, false)] {
            if message.is_some() {
                break;
            }
            match connection.read_entry(dn, filter, &section.requested, Step::Search).await {
                Ok(Some(found)) => {
                    (message, in_scope) = (Some(found), matches && holds);
                }
                Ok(None) => {}
                // Not to be seen by us any more, as after a move.
                Err(Error::Refused { code: 32, .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some(message) = message else { return Ok(None) };
        let Ok(mut selected) = section.selection.select(&message, &mut Vec::new()) else { return Ok(None) };
        if self.phase == Phase::Users {
            self.session.judge.decide(connection, &mut selected).await?;
        }
        selected.complete(connection).await?;
        Ok(Some((selected.entry, in_scope)))
    }
}

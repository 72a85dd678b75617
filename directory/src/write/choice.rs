//! New entries whose names somebody else may have: of the names that come with the operation, the first is taken that no entry
//! has.

use super::operation::{Create, Existing};
use super::outcome::Done;
use super::work::Work;
use crate::error::Error;
use crate::failure::Failure;
use crate::filter;

/// What a name can look like: its own, or with another number.
struct Candidate {
    create: Create,
    /// Whether an entry has one of its values.
    is_taken: bool,
}

impl Work<'_> {
    /// Makes an entry, under a name that no other entry has if the operation brings several.
    pub(crate) async fn create_by_choice(&mut self, create: &Create) -> Result<Done, Error> {
        let Some(first) = create.choices.first() else { return self.create(create, &[]).await };
        let names: Vec<String> = first.iter().map(|(name, _)| name.clone()).collect();
        // The site is asked before the directory is searched.
        let plain = self.new_entry(create, &names)?;
        self.allowed_new(&plain.dn, create, Vec::new()).await?;
        let candidates = self.candidates(create, &names).await?;
        // An earlier try may have made the entry, under any of the names.
        for candidate in candidates.iter().filter(|candidate| candidate.is_taken) {
            if self.is_made(&candidate.create, &names).await? {
                return self.create(&candidate.create, &names).await;
            }
        }
        let mut taken = Failure::Taken { what: names.first().cloned().unwrap_or_default() };
        for candidate in candidates.iter().filter(|candidate| !candidate.is_taken) {
            match self.create(&candidate.create, &names).await {
                // Somebody was quicker than our search.
                Err(Error::Write(Failure::Taken { what })) if self.is_chosen(&what, &names) => {
                    taken = Failure::Taken { what };
                }
                answer => return answer,
            }
        }
        Err(taken.into())
    }

    /// The entries that it may become, and whether somebody has their names.
    async fn candidates(&mut self, create: &Create, names: &[String]) -> Result<Vec<Candidate>, Error> {
        let own = create.attributes.iter().filter(|(name, _)| self.is_chosen(name, names)).cloned().collect();
        let choices: Vec<_> = std::iter::once(own).chain(create.choices.iter().cloned()).collect();
        let any_taken = !self.search(&any_of(choices.iter().flatten()), 1).await?.is_empty();
        let by_unique = self.is_chosen(self.unique_attribute(), names);
        let mut candidates = Vec::with_capacity(choices.len());
        for choice in choices {
            let is_taken = any_taken && !self.search(&any_of(choice.iter()), 1).await?.is_empty();
            let mut one = Create { choices: Vec::new(), ..create.clone() };
            one.attributes.retain(|(name, _)| !self.is_chosen(name, names));
            one.attributes.extend(choice);
            // Who has the name already is somebody else.
            one.existing = if by_unique { Existing::Conflict } else { create.existing };
            candidates.push(Candidate { create: one, is_taken });
        }
        Ok(candidates)
    }

    /// Whether the entry is there, and in every way what was to be created.
    async fn is_made(&mut self, create: &Create, names: &[String]) -> Result<bool, Error> {
        let new = self.new_entry(create, names)?;
        match self.with_unique(&new).await {
            Ok(found) => Ok(found.is_some_and(|found| self.is_equal(&new, &found))),
            Err(Error::Write(Failure::Taken { .. } | Failure::Ambiguous { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether what somebody else has is one of the names that can be another one.
    fn is_chosen(&self, what: &str, names: &[String]) -> bool {
        let what = if what == "name" { self.rdn_attribute() } else { what };
        names.iter().any(|name| self.session.schema.same(name, what))
    }
}

fn any_of<'a>(attributes: impl Iterator<Item = &'a (String, Vec<bytes::Bytes>)>) -> String {
    let equals = attributes.flat_map(|(name, values)| values.iter().map(|value| filter::equals(name, value)));
    format!("(|{})", equals.collect::<String>())
}

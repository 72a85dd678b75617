//! New entries whose names somebody else may have: of the names that come with the operation, the first is taken that no entry
//! has. People of the same name have entries that are equal in every way but these, so an entry that looks like the new one
//! is the new one only if an earlier try may have made it.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::operation::{Create, Existing};
use super::outcome::{Done, Effect};
use super::work::Work;
use crate::error::Error;
use crate::failure::Failure;
use crate::filter;

/// No name was tried yet.
pub(crate) const NONE: usize = usize::MAX;

impl Work<'_> {
    /// Makes an entry, under a name that no other entry has if the operation brings several.
    pub(crate) async fn create_by_choice(&mut self, create: &Create) -> Result<Done, Error> {
        let Some(first) = create.choices.first() else { return self.create(create, &[]).await };
        let names: Vec<String> = first.iter().map(|(name, _)| name.clone()).collect();
        // The site is asked before the directory is searched.
        let plain = self.new_entry(create, &names)?;
        self.allowed_new(&plain.dn, create, Vec::new()).await?;
        let candidates = self.candidates(create, &names);
        if let Some(made) = self.made_before(create, &candidates, &names).await? {
            return self.create(made, &names).await;
        }
        let mut taken = Failure::Taken { what: names.first().cloned().unwrap_or_default() };
        for (place, candidate) in candidates.iter().enumerate() {
            let looked_for = self.looked_for(candidate, &names);
            if !looked_for.is_empty() && !self.search(&any_of(looked_for.into_iter()), 1).await?.is_empty() {
                continue;
            }
            self.chosen.store(place, Ordering::Relaxed);
            match self.create(candidate, &names).await {
                // Somebody was quicker than our search, maybe with an entry that looks the same.
                Err(Error::Write(Failure::Taken { what })) if self.is_chosen(&what, &names) => {
                    taken = Failure::Taken { what };
                }
                Ok(Done { effect: Effect::AlreadySo, .. }) => {}
                answer => return answer,
            }
        }
        Err(taken.into())
    }

    /// The entries that it may become, in the order of its names.
    fn candidates(&self, create: &Create, names: &[String]) -> Vec<Create> {
        let own: Vec<_> = self.chosen_of(create, names).cloned().collect();
        let by_unique = self.is_chosen(self.unique_attribute(), names);
        let candidate = |choice: Vec<(String, Vec<Bytes>)>| {
            let mut one = Create { choices: Vec::new(), ..create.clone() };
            one.attributes.retain(|(name, _)| !self.is_chosen(name, names));
            one.attributes.extend(choice);
            // Who has the name already is somebody else.
            one.existing = if by_unique { Existing::Conflict } else { create.existing };
            one
        };
        std::iter::once(own).chain(create.choices.iter().cloned()).map(candidate).collect()
    }

    /// The one that an earlier try has made: in this operation before the line was cut, or when it was sent before.
    async fn made_before<'c>(
        &mut self,
        create: &Create,
        candidates: &'c [Create],
        names: &[String],
    ) -> Result<Option<&'c Create>, Error> {
        if self.again
            && let Some(tried) = candidates.get(self.chosen.load(Ordering::Relaxed))
            && self.is_made(tried, create, names).await?
        {
            return Ok(Some(tried));
        }
        if !create.sent_before
            || self.search(&any_of(candidates.iter().flat_map(|one| self.chosen_of(one, names))), 1).await?.is_empty()
        {
            return Ok(None);
        }
        for candidate in candidates {
            if self.is_made(candidate, create, names).await? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Whether an entry is there that is in every way this one, and nobody else's.
    async fn is_made(&mut self, candidate: &Create, create: &Create, names: &[String]) -> Result<bool, Error> {
        let new = self.new_entry(candidate, names)?;
        match self.with_unique(&new).await {
            Ok(Some(found)) => {
                let is_others = found.external_id.as_ref().is_some_and(|id| create.others.contains(id));
                Ok(!is_others && self.is_equal(&new, &found))
            }
            Ok(None) | Err(Error::Write(Failure::Taken { .. } | Failure::Ambiguous { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names that nobody may have anywhere. What only names the entry is looked for by the server, in its container.
    fn looked_for<'c>(&self, create: &'c Create, names: &[String]) -> Vec<&'c (String, Vec<Bytes>)> {
        let names_only = |name: &str| {
            let schema = &self.session.schema;
            self.is_active_directory()
                && schema.same(name, self.rdn_attribute())
                && !["sAMAccountName", self.unique_attribute()].iter().any(|unique| schema.same(name, unique))
        };
        self.chosen_of(create, names).filter(|(name, _)| !names_only(name)).collect()
    }

    fn chosen_of<'c>(&self, create: &'c Create, names: &[String]) -> impl Iterator<Item = &'c (String, Vec<Bytes>)> {
        let chosen: Vec<_> = create.attributes.iter().filter(|(name, _)| self.is_chosen(name, names)).collect();
        chosen.into_iter()
    }

    /// Whether what somebody else has is one of the names that can be another one.
    fn is_chosen(&self, what: &str, names: &[String]) -> bool {
        let what = if what == "name" { self.rdn_attribute() } else { what };
        names.iter().any(|name| self.session.schema.same(name, what))
    }
}

fn any_of<'a>(attributes: impl Iterator<Item = &'a (String, Vec<Bytes>)>) -> String {
    let equals = attributes.flat_map(|(name, values)| values.iter().map(|value| filter::equals(name, value)));
    format!("(|{})", equals.collect::<String>())
}

//! Attributes of an entry: compared with what is there now, and only the difference is written.
//!
//! A change takes the old values away and adds the new ones. So the server itself refuses it (16) where somebody was
//! quicker, on every kind of server; Samba ignores an assertion control and writes all the same.

use bytes::Bytes;

use super::gate::Kind;
use super::operation::{AttributeChange, BothChanged, Subject};
use super::outcome::{BothEnds, Done, Effect, RefusedAttribute};
use super::protected::Plan;
use super::request::Part;
use super::syntax::Rule;
use super::target::Target;
use super::values;
use super::work::Work;
use crate::error::{Error, Phase};
use crate::failure::{Action, Failure, Refusal};

/// How often a change is compared anew because somebody else was quicker.
const MOST_TRIES: u32 = 4;

/// What is left to do.
#[derive(Debug, Default)]
struct Difference {
    parts: Vec<(String, Vec<Part>)>,
    kept: Vec<BothEnds>,
    overwritten: Vec<BothEnds>,
    /// Attributes whose wanted values do not fit, each with the reason.
    unfit: Vec<(String, Failure)>,
}

impl Work<'_> {
    pub(crate) async fn update(&mut self, subject: &Subject, changes: &[AttributeChange]) -> Result<Done, Error> {
        let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
        for AttributeChange { name, wanted, .. } in changes {
            self.writable(name, wanted)?;
            if self.switch().is_ok_and(|switch| self.session.schema.same(&switch.attribute, name)) {
                return Err(Failure::invalid(name, "it has an operation of its own: enable, disable").into());
            }
        }
        let mut before: Option<Vec<Vec<Bytes>>> = None;
        let mut refusal = None;
        for _ in 0..MOST_TRIES {
            let mut target = self.target(subject, &names).await?;
            let plan = Plan { attributes: names.clone(), ..Plan::default() };
            self.allowed(Kind::Update, &mut target, plan).await?;
            let difference = self.difference(&target, changes)?;
            let now = self.all_values(&target, &names);
            if let Some(refusal) = refusal.take().filter(|_| before.as_ref() == Some(&now)) {
                return self.one_by_one(&target, difference, refusal).await;
            }
            match self.write(&target, &difference).await {
                Err(Error::Write(Failure::Refused(found))) if found.is_of_attributes() => {
                    (before, refusal) = (Some(now), Some(found));
                }
                Ok(effect) => return self.updated(&target, difference, effect, Vec::new()).await,
                Err(error) => return Err(error),
            }
        }
        Err(refusal.map_or(Failure::KeepsChanging, Failure::Refused).into())
    }

    async fn write(&mut self, target: &Target, difference: &Difference) -> Result<Effect, Error> {
        if difference.parts.is_empty() {
            return match difference.unfit.first() {
                Some((_, failure)) => Err(failure.clone().into()),
                None => Ok(Effect::AlreadySo),
            };
        }
        let parts = difference.parts.iter().flat_map(|(_, parts)| parts.clone()).collect();
        self.session.modify(Action::Modify, &target.text, parts).await?;
        Ok(Effect::Changed)
    }

    async fn updated(
        &mut self,
        target: &Target,
        difference: Difference,
        effect: Effect,
        mut refused: Vec<RefusedAttribute>,
    ) -> Result<Done, Error> {
        let Difference { kept, overwritten, unfit, .. } = difference;
        refused.extend(unfit.iter().map(|(name, failure)| RefusedAttribute::unfit(name, failure)));
        self.finish(&target.text, Done { kept, overwritten, refused, ..Done::new(effect) }).await
    }

    /// One attribute makes the directory refuse all. Each is written by itself, and those that are refused are named.
    async fn one_by_one(&mut self, target: &Target, difference: Difference, first: Refusal) -> Result<Done, Error> {
        let (mut refused, mut written) = (Vec::new(), 0);
        let alone = difference.parts.len() == 1;
        for (name, parts) in &difference.parts {
            let answer = if alone {
                Err(Failure::Refused(first.clone()).into())
            } else {
                self.session.modify(Action::Modify, &target.text, parts.clone()).await
            };
            match answer {
                Ok(()) => written += 1,
                Err(Error::Write(Failure::Refused(refusal))) => refused.push((name.clone(), refusal)),
                Err(error) => return Err(error),
            }
        }
        if written == 0 {
            let (name, refusal) = refused.into_iter().next().unwrap_or((String::new(), first));
            return Err(Failure::Refused(refusal.of(&name)).into());
        }
        let refused = refused.iter().map(|(name, refusal)| RefusedAttribute::new(name, refusal)).collect();
        self.updated(target, difference, Effect::Changed, refused).await
    }

    fn all_values(&self, target: &Target, names: &[&str]) -> Vec<Vec<Bytes>> {
        names.iter().map(|name| target.values.of(&self.session.schema, name).to_vec()).collect()
    }

    fn difference(&self, target: &Target, changes: &[AttributeChange]) -> Result<Difference, Failure> {
        let mut difference = Difference::default();
        let mut undecided = Vec::new();
        for change in changes {
            let rule = self.session.schema.rule(&change.name);
            let convert = |values: &[Bytes]| self.convert(&change.name, rule, values);
            let fitting =
                convert(&change.wanted).and_then(|wanted| self.check_name(&change.name, &wanted).map(|()| wanted));
            let wanted = match fitting {
                Ok(wanted) => wanted,
                Err(failure) => {
                    difference.unfit.push((change.name.clone(), failure));
                    continue;
                }
            };
            let now = target.values.of(&self.session.schema, &change.name);
            if self.session.schema.same(&change.name, "objectClass") {
                self.classes_fit(&wanted, now)?;
            }
            if self.is_same(&change.name, rule, now, &wanted) {
                continue;
            }
            let known = change.known.as_ref().map(|known| convert(known).unwrap_or_else(|_| known.clone()));
            if known.is_some_and(|known| !self.is_same(&change.name, rule, now, &known)) {
                let ends = BothEnds { name: change.name.clone(), found: self.shown(&change.name, now) };
                match change.both_changed {
                    BothChanged::SourceWins => difference.overwritten.push(ends),
                    BothChanged::TargetWins => {
                        difference.kept.push(ends);
                        continue;
                    }
                    BothChanged::Refuse => {
                        undecided.push(change.name.clone());
                        continue;
                    }
                }
            }
            difference.parts.push((change.name.clone(), parts(rule, &change.name, now, &wanted)));
        }
        if undecided.is_empty() { Ok(difference) } else { Err(Failure::BothChanged { attributes: undecided }) }
    }

    /// Values that an import would let leave the site.
    fn shown(&self, name: &str, values: &[Bytes]) -> Option<Vec<Bytes>> {
        let listed = match self.phase {
            Phase::Users => Some(&self.config.users.attributes),
            Phase::Groups => self.config.group_entries().map(|groups| &groups.attributes),
        };
        let listed = listed.is_some_and(|names| names.iter().any(|known| self.session.schema.same(known, name)));
        (listed && !self.session.names.stays(name)).then(|| values.to_vec())
    }
}

/// What makes `wanted` of `now`.
fn parts(rule: Rule, name: &str, now: &[Bytes], wanted: &[Bytes]) -> Vec<Part> {
    if !rule.comparable {
        return vec![Part::Replace(name.to_owned(), wanted.to_vec())];
    }
    let (gone, new) = (values::missing(rule, now, wanted), values::missing(rule, wanted, now));
    let gone = (!gone.is_empty()).then(|| Part::Delete(name.to_owned(), gone));
    let new = (!new.is_empty()).then(|| Part::Add(name.to_owned(), new));
    gone.into_iter().chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::super::syntax::Form;
    use super::*;

    fn bytes(values: &[&str]) -> Vec<Bytes> {
        values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect()
    }

    #[test]
    fn only_the_difference_is_written_and_the_old_value_guards_it() {
        let rule = Rule { form: Form::Text, single: false, comparable: true };
        let parts = |rule, now: &[&str], wanted: &[&str]| super::parts(rule, "x", &bytes(now), &bytes(wanted));
        let name = || "x".to_owned();
        assert_eq!(parts(rule, &[], &["a"]), [Part::Add(name(), bytes(&["a"]))]);
        assert_eq!(parts(rule, &["a", "b"], &["b"]), [Part::Delete(name(), bytes(&["a"]))]);
        let changed = [Part::Delete(name(), bytes(&["a"])), Part::Add(name(), bytes(&["A"]))];
        assert_eq!(parts(rule, &["a"], &["A"]), changed, "case is a change");
        assert_eq!(parts(rule, &["a"], &[]), [Part::Delete(name(), bytes(&["a"]))]);
        let photo = Rule { comparable: false, ..rule };
        assert_eq!(parts(photo, &["a"], &["b"]), [Part::Replace(name(), bytes(&["b"]))]);
    }
}

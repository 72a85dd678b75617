//! On which terms something is changed: the version that the caller has seen, and the losses that the caller confirms.

use super::error::{Error, Message, Result};
use crate::intake::effect::{Effect, Loss, LossKind};

/// The terms of a change. The default: any version, and nothing is confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// The version that the change is based on. `None`: any.
    pub known: Option<&'a str>,
    /// How many users and groups may lose a value or a name, as the effect of the change said. `None`: nobody was asked.
    pub confirm: Option<u64>,
}

impl Terms<'_> {
    /// Fails if the effect must be confirmed, and another number or none was.
    pub(super) fn confirm(self, what: &str, effect: Effect) -> Result<Effect> {
        if !effect.needs_confirmation || self.confirm == Some(effect.losing) {
            return Ok(effect);
        }
        let held = effect.losses.iter().filter(|loss| loss.held).map(in_words);
        let held = held.collect::<Vec<_>>().join("; ");
        let text = match self.confirm {
            None => format!("{what} is not saved, because a threshold holds it: {held}."),
            Some(confirmed) => format!(
                "{what} is not saved: {confirmed} losses are confirmed, and there would be {} by now: {held}.",
                effect.losing
            ),
        };
        let losing = effect.losing;
        let cure = format!("If that is right, confirm it: repeat the number as \"confirm\": {losing}.");
        Err(Error::Unconfirmed { message: Message::new(text).cure(cure), effect: Box::new(effect) })
    }
}

/// A loss as a clause.
pub fn in_words(loss: &Loss) -> String {
    let Loss { of, ref field, kind, count, known, .. } = *loss;
    let of = of.kind().as_str();
    match kind {
        LossKind::Cleared => format!("{count} of {known} {of}s would lose their {field}"),
        LossKind::Renamed => format!("{count} of {known} {of}s would get another {field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::mapping::rules::RuleOf;

    fn effect(held: bool) -> Effect {
        let (of, field, kind) = (RuleOf::Users, "email".to_owned(), LossKind::Cleared);
        let losses = vec![Loss { of, field, kind, count: 40, known: 50, held }];
        Effect { losing: 40, losses, needs_confirmation: held, ..Effect::default() }
    }

    #[test]
    fn only_the_number_that_was_shown_confirms_a_loss() {
        let confirmed = |confirm| Terms { confirm, ..Terms::default() }.confirm("The order", effect(true));
        assert!(confirmed(Some(40)).is_ok());
        for other in [None, Some(39), Some(41), Some(u64::MAX)] {
            let refused = confirmed(other).unwrap_err();
            assert!(refused.to_string().contains("40 of 50 users would lose their email"), "{refused}");
        }
        assert!(Terms::default().confirm("The order", effect(false)).is_ok(), "no threshold is exceeded");
    }
}

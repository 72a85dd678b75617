//! What a change would do to users and groups, shown before it is made.

use postern_engine::intake::effect::Effect;
use postern_engine::services::terms::in_words;

use super::confirm::Yes;
use super::error::Error;
use super::screen::plain;

/// Asks about what a change takes away. Returns the number of losses to confirm, if there are any.
pub(super) fn agreed(effect: &Effect, yes: Yes) -> Result<Option<u64>, Error> {
    if let Some(doubt) = doubt(effect) {
        yes.or_ask(&doubt)?;
    }
    Ok(effect.needs_confirmation.then_some(effect.losing))
}

/// What an administrator must agree to before a change. `None`: nobody loses anything, and every attribute is known.
fn doubt(effect: &Effect) -> Option<String> {
    let unknown = effect.unknown_attributes.iter();
    let mut lines: Vec<String> =
        unknown.map(|name| format!("No account has the attribute {}. Is it spelled correctly?", plain(name))).collect();
    lines.extend(effect.losses.iter().map(|loss| format!("{}.", plain(&in_words(loss)))));
    if effect.failing > 0 {
        lines.push(format!("Rules would fail {} times; what they fill keeps its value.", effect.failing));
    }
    if lines.is_empty() {
        return None;
    }
    let Effect { users, groups, changing, complete, .. } = effect;
    lines.push(match complete {
        true => format!("{changing} of {users} users and {groups} groups would change."),
        false => format!("{changing} of the first {users} users and {groups} groups would change; there are more."),
    });
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use postern_engine::identity::mapping::rules::RuleOf;
    use postern_engine::intake::effect::{Loss, LossKind};

    use super::*;

    #[test]
    fn a_change_that_takes_nothing_away_is_made_without_a_question() {
        let effect = Effect { users: 30, complete: true, changing: 30, ..Effect::default() };
        assert_eq!(doubt(&effect), None);
    }

    #[test]
    fn a_misspelled_attribute_and_lost_values_are_named_with_their_number() {
        let (of, field, kind) = (RuleOf::Users, "email".to_owned(), LossKind::Cleared);
        let losses = vec![Loss { of, field, kind, count: 1_998, known: 2_000, held: true }];
        let unknown_attributes = vec!["mial".to_owned()];
        let effect = Effect { users: 2_000, changing: 1_998, losses, unknown_attributes, ..Effect::default() };
        let doubt = doubt(&effect).unwrap();
        for part in ["attribute mial", "1998 of 2000 users would lose their email", "the first 2000 users"] {
            assert!(doubt.contains(part), "{part} is not in {doubt}");
        }
    }
}

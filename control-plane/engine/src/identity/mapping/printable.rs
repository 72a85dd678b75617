//! Texts of directories as databases take them, and names and addresses as people may see them.

use std::borrow::Cow;

use postern_runtime::plain::is_unseen;

use super::mapped::MappedUser;
use super::target::{Failed, Target};

/// The most characters of a value that are shown with what is wrong with it.
const MAX_SHOWN: usize = 100;

/// A text as databases accept it: PostgreSQL cannot store NUL.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Gives the names of a user the form that administrators must keep to, too, and takes an e-mail address away that is none.
pub(super) fn clean(user: &mut MappedUser<'_>) {
    for field in [&mut user.given_name, &mut user.family_name, &mut user.display_name] {
        *field = field.take().and_then(name);
    }
    let Some(given) = user.email.take() else { return };
    let trimmed = trim(given);
    if is_address(&trimmed) {
        user.email = Some(trimmed);
    } else if !user.failed.iter().any(|failed| failed.target == Target::Email) {
        user.failed.push(Failed {
            target: Target::Email,
            name: "email".to_owned(),
            what: "this is no e-mail address".to_owned(),
            value: trimmed.chars().take(MAX_SHOWN).collect(),
        });
    }
}

/// A name on one line: controls become blanks, and what cannot be seen is left out. `None`: nothing is left.
pub(super) fn name(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    // Checking all bytes without an early exit can be vectorized, and most names are like this.
    let is_plain = text.bytes().fold(true, |all, byte| all & (0x20..0x7f).contains(&byte));
    let text = if is_plain || !text.chars().any(is_unseen) {
        text
    } else {
        let seen = |letter: char| match letter {
            letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => Some(' '),
            letter => (!is_unseen(letter)).then_some(letter),
        };
        Cow::Owned(text.chars().filter_map(seen).collect())
    };
    let text = trim(text);
    (!text.is_empty()).then_some(text)
}

fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() < text.len() => Cow::Owned(text.trim().to_owned()),
        owned @ Cow::Owned(_) => owned,
    }
}

/// Whether it is an e-mail address. Most are plain words around an `@`, which is quick to see.
fn is_address(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let plain = text.len() < 64
        && text.split_once('@').is_some_and(|(local, domain)| {
            local.split(['.', '_', '-', '+']).all(word) && domain.split(['.', '-']).all(word)
        });
    plain || (!text.chars().any(is_unseen) && email_address::EmailAddress::is_valid(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(name: &str, email: &str) -> (Option<String>, Option<String>, Vec<String>) {
        let mut user = MappedUser {
            display_name: Some(Cow::Borrowed(name)),
            email: Some(Cow::Borrowed(email)),
            ..MappedUser::default()
        };
        clean(&mut user);
        let text = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
        (text(user.display_name), text(user.email), user.failed.into_iter().map(|failed| failed.value).collect())
    }

    #[test]
    fn names_are_on_one_line_and_nothing_in_them_is_unseen() {
        for (given, wanted) in [
            ("Ada", Some("Ada")),
            (" Ada ", Some("Ada")),
            ("Jürgen 山田", Some("Jürgen 山田")),
            ("\u{1b}[31mAda\u{7}", Some("[31mAda")),
            ("Ada\nRoot", Some("Ada Root")),
            ("Ada\u{202e}toor\u{200b}", Some("Adatoor")),
            ("سارا\u{200c}جان", Some("سارا\u{200c}جان")),
            ("\u{202e} \u{7}", None),
        ] {
            assert_eq!(cleaned(given, "a@x.org").0.as_deref(), wanted, "{given:?}");
        }
    }

    #[test]
    fn an_address_is_trimmed_and_what_is_none_is_left_out_and_named() {
        for (given, wanted) in [
            ("ada@x.org", "ada@x.org"),
            (" sp@corp.example ", "sp@corp.example"),
            ("a.b_c-d+e@mail.x-y.org", "a.b_c-d+e@mail.x-y.org"),
            ("o'hara@x.org", "o'hara@x.org"),
            ("jürgen@x.org", "jürgen@x.org"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(cleaned("Ada", given).1.as_deref(), Some(wanted), "{given:?}");
        }
        for wrong in ["max@corp.example\nbcc: x@y", "none", "a@", "@x.org", "a b@x.org", "a@x@y", "a@\u{202e}x.org"] {
            assert_eq!(cleaned("Ada", wrong).1, None, "{wrong:?}");
            assert_eq!(cleaned("Ada", wrong).2, [wrong], "{wrong:?}");
        }
    }
}

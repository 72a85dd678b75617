//! Text of others on a terminal or in a log: a directory, an agent or an administrator may put characters into a name
//! that move the cursor, turn the direction of writing, or cannot be seen.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether a character does something else than show itself: controls (C0, C1), the direction of writing (UAX #9), what
/// has no width, line separators, tags. The joiners U+200C and U+200D stay: names and emoji need them.
pub fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Why a name must not be given to anything, as the end of a sentence: it has a character that people do not see. The joiners
/// are allowed between letters and signs beyond ASCII, where scripts and emoji need them. `None`: it may be given.
pub fn unseen_in(name: &str) -> Option<String> {
    let letters: Vec<char> = name.chars().collect();
    let is_joined = |place: usize| {
        let sides = [place.checked_sub(1).and_then(|before| letters.get(before)), letters.get(place + 1)];
        sides.into_iter().all(|side| side.is_some_and(|letter| !letter.is_ascii()))
    };
    let (place, letter) = letters.iter().enumerate().find(|(place, letter)| match letter {
        '\u{200c}' | '\u{200d}' => !is_joined(*place),
        // They have no width or look like a blank: fillers of Hangul, the grapheme joiner, an empty pattern of Braille.
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => true,
        letter => is_unseen(**letter),
    })?;
    let (code, place) = (u32::from(*letter), place + 1);
    Some(format!(
        "character {place} is U+{code:04X}, which cannot be seen or turns the direction of writing; leave it out"
    ))
}

/// The text on one line, with U+FFFD in the place of each such character.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, |_| false, |out, _| out.push('\u{fffd}'))
}

/// The text on one line, in quotes, as sentences name it. Letters with marks stay letters.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", line(text))
}

/// The text as one word of a shell, so that a proposed command can be copied.
pub fn word(text: &str) -> Cow<'_, str> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(safe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", line(text).replace('\'', "'\\''")))
}

/// The same for text of several lines.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| matches!(letter, '\n' | '\t'), |out, _| out.push('\u{fffd}'))
}

/// JSON with such characters as escapes (RFC 8259, 7), so that it means the same. What JSON puts between its values stays.
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |letter| matches!(letter, '\n' | '\t' | '\r'),
        |out, letter| {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn replaced(text: &str, kept: impl Fn(char) -> bool, replace: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let bad = |letter: char| is_unseen(letter) && !kept(letter);
    if !text.chars().any(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if bad(letter) {
            replace(&mut out, letter);
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

/// Writes each entry of a log so that it is one: no character in it drives a terminal, and what follows its first line is
/// set in.
#[derive(Debug)]
pub(crate) struct Log<W> {
    pub(crate) out: W,
    pub(crate) json: bool,
}

impl<W: Write> Write for Log<W> {
    /// An entry comes in one piece.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        if self.json {
            self.out.write_all(json(&text).as_bytes())?;
            return Ok(entry.len());
        }
        let text = lines(&text);
        match text.strip_suffix('\n') {
            Some(inner) if inner.contains('\n') => {
                self.out.write_all(format!("{}\n", inner.replace('\n', "\n    ")).as_bytes())?;
            }
            _ => self.out.write_all(text.as_bytes())?,
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: [char; 12] = [
        '\u{1b}',
        '\r',
        '\u{9b}',
        '\u{ad}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{61c}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_that_drives_a_terminal_or_hides_is_left_and_everything_else_is() {
        for evil in EVIL {
            let text = format!("an{evil}na");
            assert_eq!(line(&text), "an\u{fffd}na", "{evil:?}");
            assert_eq!(lines(&text), "an\u{fffd}na", "{evil:?}");
        }
        assert_eq!((line("a\nb").as_ref(), lines("a\n\tb").as_ref()), ("a\u{fffd}b", "a\n\tb"));
        for good in ["Jürgen 山田", "سارا\u{200c}جان", "👩\u{200d}💻", "أحمد", "a\u{301}"] {
            assert!(matches!(line(good), Cow::Borrowed(same) if same == good));
        }
    }

    #[test]
    fn a_name_has_no_character_that_people_do_not_see_and_the_refusal_says_which() {
        for evil in EVIL.into_iter().chain(['\u{200c}', '\u{200d}', '\u{3164}', '\u{34f}']) {
            let refused = unseen_in(&format!("an{evil}na")).unwrap();
            assert!(refused.starts_with(&format!("character 3 is U+{:04X}, ", u32::from(evil))), "{refused}");
        }
        for good in ["Jürgen 山田", "سارا\u{200c}جان", "👩\u{200d}💻", "أحمد", "a\u{301}", "❤\u{fe0f}"]
        {
            assert_eq!(unseen_in(good), None, "{good}");
        }
        for odd in ["\u{200d}", "a\u{200d}", "👩\u{200d}", "\u{200c}جان"] {
            assert!(unseen_in(odd).is_some(), "{odd:?}");
        }
    }

    #[test]
    fn json_means_the_same_afterwards() {
        for evil in EVIL {
            let value = serde_json::json!({ "name": format!("an{evil}na"), "n": 1 });
            let text = serde_json::to_string_pretty(&value).unwrap();
            let shown = json(&text);
            assert!(!shown.chars().any(|letter| is_unseen(letter) && letter != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn an_entry_of_a_log_cannot_pass_for_two() {
        let logged = |entry: &str, json: bool| {
            let mut log = Log { out: Vec::new(), json };
            log.write_all(entry.as_bytes()).unwrap();
            String::from_utf8(log.out).unwrap()
        };
        let forged = "2026 INFO name=x\n2026 INFO serve.ready\u{202e}\n";
        assert_eq!(logged(forged, false), "2026 INFO name=x\n    2026 INFO serve.ready\u{fffd}\n");
        assert_eq!(logged("{\"a\":\"\u{202e}\"}\n", true), "{\"a\":\"\\u202e\"}\n");
        assert_eq!(logged("one\n", false), "one\n");
    }
}

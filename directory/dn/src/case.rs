//! Texts without regard to case, and to nothing else.

/// A text in lower case, if that loses only case: a letter changes only if its lower-case letter has it as upper case.
/// So the Kelvin sign does not become `k`, and `ẞ` does not become `ß`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(lower).collect()
}

fn lower(letter: char) -> char {
    match only(letter.to_lowercase()) {
        Some(lower) if only(lower.to_uppercase()) == Some(letter) => lower,
        _ => letter,
    }
}

/// The only character, if there is one.
fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

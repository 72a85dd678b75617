//! Chance that is the same in each run (splitmix64), and the many spellings of one name.

use std::fmt::Write as _;

pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// The same letters, some in the other case.
    pub(crate) fn cased(&mut self, text: &str) -> String {
        text.chars().map(|letter| if self.one_in(2) { letter.to_ascii_uppercase() } else { letter }).collect()
    }

    /// The same DN in another spelling: case, spaces, hexadecimal escapes, OIDs in place of names.
    pub(crate) fn spelled(&mut self, dn: &str) -> String {
        let parts: Vec<String> = dn.split(',').map(|part| self.part(part)).collect();
        let comma = self.of(&[",", ", ", " ,"]);
        parts.join(comma)
    }

    fn part(&mut self, part: &str) -> String {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let oid = match name {
            "uid" => "0.9.2342.19200300.100.1.1",
            "ou" => "2.5.4.11",
            "cn" => "2.5.4.3",
            "dc" => "0.9.2342.19200300.100.1.25",
            other => other,
        };
        let name = if self.one_in(5) { oid.to_owned() } else { self.cased(name) };
        let mut spelled = String::new();
        for letter in value.chars() {
            match (letter.is_ascii_alphanumeric(), self.one_in(6)) {
                (true, true) => {
                    let _ = write!(spelled, "\\{:02x}", letter as u32);
                }
                _ => spelled += &self.cased(&letter.to_string()),
            }
        }
        format!("{name}{}{spelled}", self.of(&["=", " =", "= "]))
    }
}

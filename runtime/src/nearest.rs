//! "Did you mean …": the names that are most like one that is unknown.

/// How alike two names are at least, from 0 to 1.
const NEAR: f64 = 0.75;
/// Longer names are like none: to compare them would take long, and others choose how long they are.
const LONGEST_BYTES: usize = 256;
/// No more names than this are proposed.
const MOST: usize = 3;

/// The name most like the wanted one, if any is like it at all.
pub fn one<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    several(wanted, names).into_iter().next()
}

/// Up to three names that are like the wanted one, the most like first. Case does not matter.
pub fn several<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    if wanted.len() > LONGEST_BYTES {
        return Vec::new();
    }
    let wanted = wanted.to_lowercase();
    let rated = names.into_iter().map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name));
    let mut near: Vec<(f64, &str)> = rated.filter(|(likeness, _)| *likeness >= NEAR).collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.dedup_by(|(_, one), (_, other)| one == other);
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_like_come_first_and_strangers_not_at_all() {
        let names = ["corp", "crop-lab", "lab", "CORP2", "headquarters"];
        assert_eq!(several("crop", names), ["corp", "crop-lab", "CORP2"]);
        assert_eq!(one("headquarter", names), Some("headquarters"));
        assert_eq!(one("zzz", names), None);
        assert_eq!(several("", names), Vec::<&str>::new());
        let long = "x".repeat(LONGEST_BYTES + 1);
        assert_eq!(several(&long, [long.as_str()]), Vec::<&str>::new(), "it is not even looked at");
    }
}

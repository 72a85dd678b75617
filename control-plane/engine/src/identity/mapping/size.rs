//! The bound of all further attributes of one user, as an import keeps it: what does not fit fails like a rule, so that the user
//! keeps the last good value.

use serde_json::{Map, Value};

use super::mapped::MappedUser;
use super::target::{Failed, Target};
use crate::identity::attributes::{MAX_ALL_BYTES, too_large};
use crate::identity::profile::further;

/// Takes the largest values away until the others fit.
pub(super) fn bound(user: &mut MappedUser<'_>) {
    let Some(rule) = too_large(&user.attributes) else { return };
    let mut values: Map<String, Value> = serde_json::from_str(&user.attributes).unwrap_or_default();
    let mut sizes: Vec<(usize, String)> =
        values.iter().map(|(name, value)| (value.to_string().len(), name.clone())).collect();
    sizes.sort_unstable();
    let mut size = user.attributes.len();
    while let Some((freed, name)) = sizes.pop().filter(|_| size > MAX_ALL_BYTES) {
        size = size.saturating_sub(freed);
        values.remove(&name);
        let target = Target::Further(name.clone());
        if !user.failed.iter().any(|failed| failed.target == target) {
            let name = further(&name);
            // The value is too large to be shown, and may be sensitive.
            user.failed.push(Failed { name, target, what: rule.clone(), value: String::new() });
        }
    }
    user.attributes = Value::Object(values).to_string();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_are_taken_away_until_the_others_fit() {
        let all = |sizes: &[(&str, usize)]| -> String {
            let values: Map<String, Value> =
                sizes.iter().map(|(name, size)| ((*name).to_owned(), Value::from("x".repeat(*size)))).collect();
            Value::Object(values).to_string()
        };
        let mut user = MappedUser {
            attributes: all(&[("a", 100), ("b", 150_000), ("c", 200_000), ("d", 90_000)]),
            ..MappedUser::default()
        };
        bound(&mut user);
        assert_eq!(user.attributes, all(&[("a", 100), ("b", 150_000), ("d", 90_000)]));
        let [failed] = user.failed.as_slice() else { panic!("{:?}", user.failed) };
        assert_eq!((failed.name.as_str(), failed.value.as_str()), ("attributes.c", ""));
        assert!(failed.what.contains("256 KiB"), "{}", failed.what);
        let mut good = MappedUser { attributes: all(&[("a", 200_000)]), ..MappedUser::default() };
        bound(&mut good);
        assert_eq!((good.attributes, good.failed), (all(&[("a", 200_000)]), Vec::new()));
    }
}

//! What an administrator may type to name a user: any login, or the DN.

use crate::filter;
use crate::flavour::Flavour;
use postern_dn::Dn;

/// What the servers of this flavour let people sign in with, beside the unique attribute.
fn attributes(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::ActiveDirectory => &["userPrincipalName", "sAMAccountName", "mail"],
        // An attribute without an index would make some servers look at every entry.
        Flavour::OpenLdap | Flavour::Ds389 | Flavour::Generic => &["uid", "mail"],
    }
}

/// The conditions under which a user is meant, the surest first. An attribute that `stays` at the site is not asked about.
pub(super) fn conditions(unique: &str, flavour: Flavour, typed: &str, stays: impl Fn(&str) -> bool) -> Vec<String> {
    let mut conditions = vec![filter::equals(unique, typed.as_bytes())];
    let (names, value) = match typed.split_once('\\') {
        // The domain's short name stands in no entry of a user.
        Some((_, name)) if flavour == Flavour::ActiveDirectory => (&["sAMAccountName"][..], name),
        _ => (attributes(flavour), typed),
    };
    let others = names.iter().filter(|name| !name.eq_ignore_ascii_case(unique) || value != typed);
    let others: String =
        others.filter(|name| !stays(name)).map(|name| filter::equals(name, value.as_bytes())).collect();
    if !others.is_empty() && !value.is_empty() {
        conditions.push(format!("(|{others})"));
    }
    conditions
}

/// The DN that was typed, if it is one.
pub(super) fn dn(typed: &str) -> Option<Dn> {
    Dn::parse(typed).ok().filter(|dn| !dn.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_is_sought_and_the_unique_attribute_first() {
        let sought = |flavour, typed| conditions("uid", flavour, typed, |_| false);
        assert_eq!(sought(Flavour::OpenLdap, "a*"), ["(uid=a\\2a)", "(|(mail=a\\2a))"]);
        assert_eq!(
            sought(Flavour::ActiveDirectory, "ada@corp.example")[1],
            "(|(userPrincipalName=ada@corp.example)(sAMAccountName=ada@corp.example)(mail=ada@corp.example))"
        );
        assert_eq!(
            conditions("sAMAccountName", Flavour::ActiveDirectory, "CORP\\ada", |_| false),
            ["(sAMAccountName=CORP\\5cada)", "(|(sAMAccountName=ada))"]
        );
    }

    #[test]
    fn nothing_is_asked_about_an_attribute_that_stays() {
        assert_eq!(conditions("uid", Flavour::OpenLdap, "a", |name| name == "mail"), ["(uid=a)"]);
    }
}

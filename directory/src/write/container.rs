//! Where an entry is to be: the container that the site has configured, or one below it. Nobody who asks for a change can
//! name another.

use postern_dn::Dn;

use crate::config::WriteConfig;
use crate::error::Phase;
use crate::failure::Failure;

/// The container that an operation means: `named` is below the configured one. Empty or unset: that one itself.
pub fn container(write: &WriteConfig, phase: Phase, named: Option<&str>) -> Result<Dn, Failure> {
    let (key, configured) = match phase {
        Phase::Users => ("user_container", &write.user_container),
        Phase::Groups => ("group_container", &write.group_container),
    };
    let setting = Failure::Setting { key, cure: "name the container of new entries there, by its DN" };
    let configured = configured.as_ref().and_then(|text| Dn::parse(text).ok()).ok_or(setting)?;
    let relative = named.map_or(Ok(Dn::root()), Dn::parse);
    let relative = relative.map_err(|error| Failure::invalid("container", error.to_string()))?;
    let is_whole = match (relative.rdns().last(), configured.rdns().last()) {
        (Some(named), Some(own)) => named.is_same(own),
        _ => false,
    };
    if is_whole {
        let reason = "it is named below the site's own container, as ou=Sales; a whole DN is refused";
        return Err(Failure::invalid("container", reason));
    }
    Ok(relative.below(&configured))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_sites_container_can_be_named() {
        let write = WriteConfig { user_container: Some("ou=people,dc=corp".to_owned()), ..WriteConfig::default() };
        let of = |named: Option<&str>| container(&write, Phase::Users, named).map(|dn| dn.to_string());
        assert_eq!(of(None).unwrap(), "ou=people,dc=corp");
        assert_eq!(of(Some("")).unwrap(), "ou=people,dc=corp");
        assert_eq!(of(Some("ou=a, ou=b")).unwrap(), "ou=a,ou=b,ou=people,dc=corp");
        assert_eq!(of(Some("ou=x,dc=evil")).unwrap(), "ou=x,dc=evil,ou=people,dc=corp");
        for whole in ["ou=admins,dc=corp", "dc=corp", "ou=people,DC = Corp", "ou=x,0.9.2342.19200300.100.1.25=corp"] {
            let refused = of(Some(whole)).unwrap_err();
            assert!(refused.to_string().contains("a whole DN is refused"), "{whole}: {refused}");
        }
        assert!(of(Some("people")).is_err());
        assert!(matches!(container(&write, Phase::Groups, None), Err(Failure::Setting { .. })));
    }
}

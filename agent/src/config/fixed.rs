//! The part of the configuration that is read when the agent starts and never again: a reload says what of it has changed
//! and is not in use.

use std::net::SocketAddr;
use std::path::PathBuf;

use postern_runtime::telemetry::Format;
use secrecy::{ExposeSecret as _, SecretString};

use super::Config;
use crate::deliver::Compression;

/// What a reload does not take up.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    state_dir: Option<PathBuf>,
    proxy: Option<SecretString>,
    proxy_password_file: Option<PathBuf>,
    compression: Option<Compression>,
    health: Option<SocketAddr>,
    log_format: Format,
    log_filter: Option<String>,
}

impl Config {
    /// The part that a reload does not take up.
    pub(crate) fn fixed(&self) -> Fixed {
        Fixed {
            state_dir: self.state_dir.clone(),
            proxy: self.control_plane.proxy.clone(),
            proxy_password_file: self.control_plane.proxy_password_file.clone(),
            compression: self.control_plane.compression,
            health: self.health.as_ref().map(|health| health.listen),
            log_format: self.log.format,
            log_filter: self.log.filter.clone(),
        }
    }
}

impl Fixed {
    /// The keys whose values differ in a later configuration. Never the values: one of them is a password.
    pub(crate) fn changed(&self, later: &Self) -> Vec<&'static str> {
        let proxy = |fixed: &Self| fixed.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned());
        let keys = [
            ("state_dir", self.state_dir != later.state_dir),
            ("control_plane.proxy", proxy(self) != proxy(later)),
            ("control_plane.proxy_password_file", self.proxy_password_file != later.proxy_password_file),
            ("control_plane.compression", self.compression != later.compression),
            ("health.listen", self.health != later.health),
            ("log.format", self.log_format != later.log_format),
            ("log.filter", self.log_filter != later.log_filter),
        ];
        keys.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use postern_runtime::settings;

    use super::super::ENV_PREFIX;
    use super::*;

    fn fixed(text: &str) -> Fixed {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        settings::load_with::<Config>(Some(&file), ENV_PREFIX, []).unwrap().fixed()
    }

    #[test]
    fn each_key_that_a_reload_ignores_is_named_and_no_value() {
        let before = fixed("");
        assert!(before.changed(&fixed("[policy]\nexcluded_attributes = [\"mail\"]\n")).is_empty());
        for (text, key) in [
            ("state_dir = \"/x\"", "state_dir"),
            ("[control_plane]\nproxy = \"http://u:secret@p:1\"", "control_plane.proxy"),
            ("[control_plane]\nproxy_password_file = \"/x\"", "control_plane.proxy_password_file"),
            ("[control_plane]\ncompression = \"none\"", "control_plane.compression"),
            ("[health]\nlisten = \"127.0.0.1:1\"", "health.listen"),
            ("[log]\nformat = \"json\"", "log.format"),
            ("[log]\nfilter = \"debug\"", "log.filter"),
        ] {
            assert_eq!(before.changed(&fixed(text)), [key]);
        }
        assert!(!format!("{:?}", fixed("[control_plane]\nproxy = \"http://u:secret@p:1\"")).contains("secret"));
    }
}

//! The remembered login: one control plane's address and a token, in a file that only its owner can read.

use std::path::PathBuf;

use postern_runtime::secret;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::error::Error;

/// A remembered login.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// The control plane's address.
    pub(super) url: String,
    /// The token for it.
    pub(super) token: String,
}

impl Credentials {
    /// The remembered login, if there is one.
    pub(super) fn load() -> Result<Option<Self>, Error> {
        let Some(path) = path().filter(|path| path.exists()) else { return Ok(None) };
        let text = secret::read_private(&path).map_err(|error| Error::Credentials(error.into()))?;
        toml::from_str(text.expose_secret()).map(Some).map_err(|error| {
            // The parser's message would show the token.
            let text = format!("{} is damaged ({}); run `postern login` again", path.display(), place(&error));
            Error::Credentials(text.into())
        })
    }

    /// Saves the login and returns the file.
    pub(super) fn save(&self) -> Result<PathBuf, Error> {
        let Some(path) = path() else {
            return Err(Error::Credentials("there is no home folder to save it in; set HOME".into()));
        };
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        std::fs::create_dir_all(folder).map_err(|error| Error::Credentials(error.into()))?;
        let text = toml::to_string(self).map_err(|error| Error::Credentials(error.into()))?;
        secret::write_private(&path, text.as_bytes()).map_err(|error| Error::Credentials(error.into()))?;
        Ok(path)
    }
}

impl Credentials {
    /// Deletes the saved login and returns its file. `None`: there was none.
    pub(super) fn forget() -> Result<Option<PathBuf>, Error> {
        let Some(path) = path() else { return Ok(None) };
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Credentials(error.into())),
        }
    }
}

fn place(error: &toml::de::Error) -> String {
    error.span().map_or_else(|| "somewhere".to_owned(), |span| format!("at byte {}", span.start))
}

fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| home.join(".config"));
    Some(variable("XDG_CONFIG_HOME").or_else(home)?.join("postern").join("credentials.toml"))
}

//! Whether a proxy stands in the way out, and which: the configuration says, or `HTTPS_PROXY` and `NO_PROXY` do.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use postern_runtime::secret;
use secrecy::{ExposeSecret as _, SecretString};

use super::Address;

/// What is wrong with the proxy setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no URL.
    #[error("control_plane.proxy is not a URL of the form http://user:password@host:port")]
    NotUrl,
    /// A password without somebody to have it.
    #[error(
        "control_plane.proxy_password_file needs a user and no password in control_plane.proxy: http://user@host:port"
    )]
    PasswordWithoutUser,
    /// The password cannot be read.
    #[error("control_plane.proxy_password_file")]
    Password(#[source] secret::Error),
    /// Its scheme is not http.
    #[error("a proxy must be given as http://host:port; {scheme}:// is not supported")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
}

/// The rule by which a proxy is chosen.
#[derive(Clone)]
pub enum ProxyRule {
    /// Never one.
    Direct,
    /// As the environment says, for each destination.
    Environment,
    /// Always this one.
    Fixed(Proxy),
    /// Always this one, with a password that is read anew for each connection.
    WithPassword {
        /// The proxy.
        proxy: Proxy,
        /// Who the password is for.
        user: String,
        /// The file with the password.
        file: PathBuf,
    },
}

/// An HTTP proxy that tunnels by CONNECT.
#[derive(Clone)]
pub struct Proxy {
    /// Where it is.
    pub uri: Uri,
    /// What to send as `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
}

impl ProxyRule {
    /// The rule of a configuration: its own proxy, or else the environment's.
    pub fn from_setting(setting: Option<&SecretString>, password_file: Option<&Path>) -> Result<Self, Error> {
        let Some(url) = setting else {
            return if password_file.is_some() { Err(Error::PasswordWithoutUser) } else { Ok(Self::Environment) };
        };
        if url.expose_secret().parse::<Uri>().ok().and_then(|uri| uri.host().map(str::len)).is_none() {
            return Err(Error::NotUrl);
        }
        let matcher = Matcher::builder().all(url.expose_secret().to_owned()).build();
        let any = Uri::from_static("https://any.invalid:443");
        let proxy = choose(&matcher, &any)?.ok_or(Error::NotUrl)?;
        let Some(file) = password_file else { return Ok(Self::Fixed(proxy)) };
        let user = proxy.user().ok_or(Error::PasswordWithoutUser)?;
        Ok(Self::WithPassword { proxy, user, file: file.to_owned() })
    }

    /// The proxy on the way to `target`, if there is one.
    pub fn resolve(&self, target: &Address) -> Result<Option<Proxy>, Error> {
        match self {
            Self::Direct => Ok(None),
            Self::Fixed(proxy) => Ok(Some(proxy.clone())),
            Self::WithPassword { proxy, user, file } => {
                let password = secret::read_private(file).map_err(Error::Password)?;
                Ok(Some(proxy.with_password(user, password.expose_secret().trim_end_matches(['\r', '\n']))))
            }
            Self::Environment if environment_excludes_every_host() => Ok(None),
            Self::Environment => match format!("https://{target}").parse::<Uri>() {
                Ok(uri) => choose(&Matcher::from_env(), &uri),
                Err(_) => Ok(None),
            },
        }
    }
}

/// Whether `NO_PROXY` holds `*`, which is every host. The matcher takes it for every host name and leaves addresses out.
fn environment_excludes_every_host() -> bool {
    let hosts = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    hosts.split(',').any(|host| host.trim() == "*")
}

fn choose(matcher: &Matcher, target: &Uri) -> Result<Option<Proxy>, Error> {
    let Some(intercept) = matcher.intercept(target) else { return Ok(None) };
    match intercept.uri().scheme_str() {
        Some("http") => {
            Ok(Some(Proxy { uri: intercept.uri().clone(), authorization: intercept.basic_auth().cloned() }))
        }
        scheme => Err(Error::Scheme { scheme: scheme.unwrap_or("no").to_owned() }),
    }
}

impl Proxy {
    /// The user that the URL names, if it names no password.
    fn user(&self) -> Option<String> {
        let shown = self.authorization.as_ref()?.to_str().ok()?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(shown).ok()?).ok()?;
        decoded.strip_suffix(':').filter(|user| !user.is_empty() && !user.contains(':')).map(str::to_owned)
    }

    fn with_password(&self, user: &str, password: &str) -> Self {
        let header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok();
        let authorization = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Self { uri: self.uri.clone(), authorization }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.host().unwrap_or_default(), self.uri.port_u16().unwrap_or(80))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Debug for ProxyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            Self::Environment => f.write_str("Environment"),
            Self::Fixed(proxy) => write!(f, "Fixed({proxy})"),
            Self::WithPassword { proxy, .. } => write!(f, "WithPassword({proxy})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Address {
        "gw.example:8443".parse().unwrap()
    }

    #[test]
    fn the_configured_proxy_is_used_with_its_credentials_and_never_shows_them() {
        let setting = SecretString::from("http://user:s3cret@proxy.corp:3128");
        let rule = ProxyRule::from_setting(Some(&setting), None).unwrap();
        let proxy = rule.resolve(&target()).unwrap().unwrap();
        assert_eq!(proxy.to_string(), "proxy.corp:3128");
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic dXNlcjpzM2NyZXQ=");
        let shown = format!("{rule:?} {proxy:?} {:?}", proxy.authorization);
        assert!(!shown.contains("s3cret") && !shown.contains("dXNlcj"), "{shown}");
    }

    #[test]
    fn other_kinds_of_proxy_are_refused_by_name() {
        for url in ["https://proxy:1", "socks5://proxy:1"] {
            let error = ProxyRule::from_setting(Some(&SecretString::from(url)), None).unwrap_err();
            assert!(matches!(error, Error::Scheme { .. }), "{url}: {error}");
        }
        assert!(ProxyRule::from_setting(Some(&SecretString::from("/nonsense")), None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_password_in_a_file_is_read_for_each_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.secret");
        let of = |url: &str| ProxyRule::from_setting(Some(&SecretString::from(url)), Some(&file));
        let rule = of("http://user@proxy.corp:3128").unwrap();
        assert!(matches!(rule.resolve(&target()), Err(Error::Password(_))));
        for (password, header) in [("s3cret\n", "Basic dXNlcjpzM2NyZXQ="), ("other", "Basic dXNlcjpvdGhlcg==")] {
            secret::write_private(&file, password.as_bytes()).unwrap();
            let proxy = rule.resolve(&target()).unwrap().unwrap();
            assert_eq!(proxy.authorization.as_ref().unwrap(), header);
            assert!(!format!("{rule:?} {proxy:?} {:?}", proxy.authorization).contains("dXNlcj"));
        }
        for url in ["http://proxy.corp:3128", "http://user:two@proxy.corp:3128"] {
            assert!(matches!(of(url), Err(Error::PasswordWithoutUser)), "{url}");
        }
        assert!(matches!(ProxyRule::from_setting(None, Some(&file)), Err(Error::PasswordWithoutUser)));
    }

    #[test]
    fn the_direct_rule_knows_no_proxy() {
        assert!(ProxyRule::Direct.resolve(&target()).unwrap().is_none());
    }
}

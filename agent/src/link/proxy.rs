//! Whether a proxy stands in the way out, and which: the configuration says, or `HTTPS_PROXY` and `NO_PROXY` do.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret as _, SecretString};

use super::Address;

/// What is wrong with the proxy setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no URL.
    #[error("control_plane.proxy is not a URL of the form http://user:password@host:port")]
    NotUrl,
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
    pub fn from_setting(setting: Option<&SecretString>) -> Result<Self, Error> {
        match setting {
            None => Ok(Self::Environment),
            Some(url) => {
                if url.expose_secret().parse::<Uri>().ok().and_then(|uri| uri.host().map(str::len)).is_none() {
                    return Err(Error::NotUrl);
                }
                let matcher = Matcher::builder().all(url.expose_secret().to_owned()).build();
                let any = Uri::from_static("https://any.invalid:443");
                choose(&matcher, &any)?.map(Self::Fixed).ok_or(Error::NotUrl)
            }
        }
    }

    /// The proxy on the way to `target`, if there is one.
    pub fn resolve(&self, target: &Address) -> Result<Option<Proxy>, Error> {
        match self {
            Self::Direct => Ok(None),
            Self::Fixed(proxy) => Ok(Some(proxy.clone())),
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
        let rule = ProxyRule::from_setting(Some(&setting)).unwrap();
        let proxy = rule.resolve(&target()).unwrap().unwrap();
        assert_eq!(proxy.to_string(), "proxy.corp:3128");
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic dXNlcjpzM2NyZXQ=");
        let shown = format!("{rule:?} {proxy:?} {:?}", proxy.authorization);
        assert!(!shown.contains("s3cret") && !shown.contains("dXNlcj"), "{shown}");
    }

    #[test]
    fn other_kinds_of_proxy_are_refused_by_name() {
        for url in ["https://proxy:1", "socks5://proxy:1"] {
            let error = ProxyRule::from_setting(Some(&SecretString::from(url))).unwrap_err();
            assert!(matches!(error, Error::Scheme { .. }), "{url}: {error}");
        }
        assert!(ProxyRule::from_setting(Some(&SecretString::from("/nonsense"))).is_err());
    }

    #[test]
    fn the_direct_rule_knows_no_proxy() {
        assert!(ProxyRule::Direct.resolve(&target()).unwrap().is_none());
    }
}

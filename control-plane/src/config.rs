//! The configuration of `postern serve`: flags override `POSTERN__…` environment variables, which override the file,
//! which overrides the defaults.

mod database;
mod error;
mod reference;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_runtime::settings;
use postern_runtime::telemetry::Format;
use postern_store::DatabaseUrl;
use secrecy::SecretString;
use serde::Deserialize;

pub use self::database::{PasswordSource, database, has_password};
pub use self::error::{Error, PasswordError};
pub use self::reference::reference;
use crate::home::PKI;

/// The data folder of an installed package.
const SYSTEM_DATA_DIR: &str = "/var/lib/postern";
/// The data folder otherwise, below the working folder.
const LOCAL_DATA_DIR: &str = "postern-data";
/// Prefix of the environment variables: `POSTERN__LISTEN`.
const ENV_PREFIX: &str = "POSTERN";

/// Settings from the file, the environment or the flags; all optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder for the database and the certificate authority. Unset: `/var/lib/postern` if it exists and is writable,
    /// else `./postern-data`.
    pub data_dir: Option<PathBuf>,
    /// Address of the API. Unset: `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// Address on which the gateway listens for agents. Unset: `0.0.0.0:8443`.
    pub gateway_listen: Option<SocketAddr>,
    /// Host and port that agents connect to; enrollment tokens contain it. Unset: this machine's name.
    pub gateway_public_address: Option<String>,
    /// `postgres://…`. Unset: a SQLite file in the data folder.
    pub database_url: Option<SecretString>,
    /// File with the database password. Unset: the password of the URL, or none.
    pub database_password_file: Option<PathBuf>,
    /// Name of a systemd credential with the database password.
    pub database_password_credential: Option<String>,
    /// Address of the metrics. Unset: none are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Certificate chain of the API, PEM. Unset: plain HTTP, on loopback only.
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Folder of the certificate authority, where several replicas share one. Unset: `pki` in the data folder.
    pub pki_dir: Option<PathBuf>,
    /// Whether to serve a database of another certificate authority. Only a flag, because it is for one start.
    #[serde(skip)]
    pub new_authority: bool,
    /// Lifetime of an agent's certificate, in hours. Unset: 168.
    pub agent_certificate_lifetime_hours: Option<u32>,
    /// How often an idle agent sends a heartbeat, in seconds. Unset: 30.
    pub heartbeat_interval_secs: Option<u32>,
    /// How long a replica may be silent before its jobs are taken over, in seconds. Unset: 30.
    pub lease_secs: Option<u32>,
    /// Most connections of agents. Unset: 20000.
    pub max_connections: Option<u32>,
    /// `text` or `json`. Unset: text.
    pub log_format: Option<Format>,
}

/// The configuration of a server, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for the database and the certificate authority.
    pub data_dir: PathBuf,
    /// Folder of the certificate authority.
    pub pki_dir: PathBuf,
    /// Whether to serve a database of another certificate authority.
    pub new_authority: bool,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address on which the gateway listens for agents.
    pub gateway_listen: SocketAddr,
    /// Where agents reach the gateway.
    pub gateway_public: PublicAddress,
    /// The database.
    pub database: DatabaseUrl,
    /// Address of the metrics, if they are served.
    pub metrics_listen: Option<SocketAddr>,
    /// Certificate and key of the API.
    pub api_tls: Option<ApiTls>,
    /// Lifetime of an agent's certificate.
    pub agent_certificate_lifetime: Duration,
    /// How often an idle agent sends a heartbeat.
    pub heartbeat_interval: Duration,
    /// How long a job stays with a replica that is silent.
    pub lease: Duration,
    /// Most connections of agents.
    pub max_connections: usize,
    /// Format of the log.
    pub log_format: Format,
}

/// Files of the API's certificate.
#[derive(Clone, Debug)]
pub struct ApiTls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
}

/// Host and port that agents connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// Port; 0 means the port that the gateway is bound to.
    pub port: u16,
}

impl std::fmt::Display for PublicAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Settings {
    /// Reads the file, if one is named, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        if let Some(file) = file {
            let alone: Self = settings::load_with(Some(file), ENV_PREFIX, []).map_err(Error::Settings)?;
            database::refuse_exposed(file, alone.database_url.as_ref()).map_err(Error::Password)?;
        }
        settings::load(file, ENV_PREFIX).map_err(Error::Settings)
    }

    /// These settings, filled in from `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(weaker.data_dir),
            listen: self.listen.or(weaker.listen),
            gateway_listen: self.gateway_listen.or(weaker.gateway_listen),
            gateway_public_address: self.gateway_public_address.or(weaker.gateway_public_address),
            database_url: self.database_url.or(weaker.database_url),
            database_password_file: self.database_password_file.or(weaker.database_password_file),
            database_password_credential: self.database_password_credential.or(weaker.database_password_credential),
            metrics_listen: self.metrics_listen.or(weaker.metrics_listen),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            pki_dir: self.pki_dir.or(weaker.pki_dir),
            new_authority: self.new_authority || weaker.new_authority,
            agent_certificate_lifetime_hours: self
                .agent_certificate_lifetime_hours
                .or(weaker.agent_certificate_lifetime_hours),
            heartbeat_interval_secs: self.heartbeat_interval_secs.or(weaker.heartbeat_interval_secs),
            lease_secs: self.lease_secs.or(weaker.lease_secs),
            max_connections: self.max_connections.or(weaker.max_connections),
            log_format: self.log_format.or(weaker.log_format),
        }
    }

    /// Checks the settings and fills in the defaults.
    pub fn resolve(self) -> Result<Config, Error> {
        let data_dir = self.data_dir.clone().unwrap_or_else(default_data_dir);
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let gateway_listen = self.gateway_listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)));
        let api_tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(ApiTls { certificate, key }),
            (None, None) if listen.ip().is_loopback() => None,
            (None, None) => return Err(Error::PlainApi { listen }),
            _ => return Err(Error::HalfTls),
        };
        let gateway_public = match self.gateway_public_address {
            Some(text) => parse_public(&text)?,
            None => guess_public(gateway_listen),
        };
        let hours = within("agent_certificate_lifetime_hours", self.agent_certificate_lifetime_hours, 168, 1, 8_784)?;
        let heartbeat = within("heartbeat_interval_secs", self.heartbeat_interval_secs, 30, 1, 600)?;
        let lease = within("lease_secs", self.lease_secs, 30, 3, 600)?;
        let connections = within("max_connections", self.max_connections, 20_000, 16, 1_000_000)?;
        let password =
            PasswordSource { file: self.database_password_file, credential: self.database_password_credential };
        Ok(Config {
            pki_dir: self.pki_dir.unwrap_or_else(|| data_dir.join(PKI)),
            new_authority: self.new_authority,
            database: database(self.database_url.as_ref(), &password, &data_dir)?,
            data_dir,
            listen,
            gateway_listen,
            gateway_public,
            metrics_listen: self.metrics_listen,
            api_tls,
            agent_certificate_lifetime: Duration::from_secs(u64::from(hours) * 60 * 60),
            heartbeat_interval: Duration::from_secs(heartbeat.into()),
            lease: Duration::from_secs(lease.into()),
            max_connections: connections as usize,
            log_format: self.log_format.unwrap_or_default(),
        })
    }
}

/// The default data folder.
pub fn default_data_dir() -> PathBuf {
    let system = Path::new(SYSTEM_DATA_DIR);
    if is_writable(system) { system.to_owned() } else { PathBuf::from(LOCAL_DATA_DIR) }
}

/// Whether files can be created there. Tries it, because permissions alone do not answer that.
fn is_writable(folder: &Path) -> bool {
    if !folder.is_dir() {
        return false;
    }
    let probe = folder.join(format!(".writable.{}", std::process::id()));
    let made = std::fs::File::create(&probe).is_ok();
    let _ = std::fs::remove_file(&probe);
    made
}

fn within(key: &'static str, value: Option<u32>, default: u32, min: u32, max: u32) -> Result<u32, Error> {
    let value = value.unwrap_or(default);
    if (min..=max).contains(&value) { Ok(value) } else { Err(Error::OutOfRange { key, min, max }) }
}

fn parse_public(text: &str) -> Result<PublicAddress, Error> {
    let wrong = || Error::PublicAddress { text: text.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bracketed = bare.len() != host.len();
    let is_name = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let is_address = bare.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6() == bracketed);
    if bare.is_empty() || !(is_address || is_name && !bracketed) {
        return Err(wrong());
    }
    Ok(PublicAddress { host: bare.to_owned(), port })
}

/// The default public address: the gateway's own address, or the name of this machine if that resolves.
fn guess_public(gateway: SocketAddr) -> PublicAddress {
    let host = if gateway.ip().is_unspecified() { resolvable_hostname() } else { Some(gateway.ip().to_string()) };
    PublicAddress { host: host.unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string()), port: gateway.port() }
}

fn resolvable_hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned();
    let resolves =
        !name.is_empty() && (name.as_str(), 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some());
    resolves.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(folder: &Path) -> Settings {
        Settings { data_dir: Some(folder.to_owned()), ..Settings::default() }
    }

    #[test]
    fn with_nothing_said_it_works_on_loopback() {
        let config = in_folder(Path::new("d")).resolve().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.gateway_listen.to_string(), "0.0.0.0:8443");
        assert_eq!(config.gateway_public.port, 8443);
        assert!(config.api_tls.is_none());
    }

    #[test]
    fn the_api_is_never_readable_on_the_network() {
        let open = Settings { listen: "0.0.0.0:8080".parse().ok(), ..in_folder(Path::new("d")) };
        assert!(matches!(open.clone().resolve(), Err(Error::PlainApi { .. })));
        let half = Settings { tls_cert: Some("c".into()), ..open.clone() };
        assert!(matches!(half.clone().resolve(), Err(Error::HalfTls)));
        assert!(Settings { tls_key: Some("k".into()), ..half }.resolve().is_ok());
    }

    #[test]
    fn flags_come_before_the_file() {
        let flags = Settings { listen: "127.0.0.1:1".parse().ok(), ..Settings::default() };
        let file = Settings { listen: "127.0.0.1:2".parse().ok(), lease_secs: Some(9), ..in_folder(Path::new("d")) };
        let config = flags.or(file).resolve().unwrap();
        assert_eq!((config.listen.port(), config.lease), (1, Duration::from_secs(9)));
    }

    #[test]
    fn public_addresses_are_host_and_port() {
        for good in ["gw.example:8443", "10.0.0.1:443", "[::1]:8443", "localhost:0"] {
            assert_eq!(parse_public(good).unwrap().to_string(), good);
        }
        for bad in ["gw.example", ":1", "gw:99999", "::1:8443", "https://gw:1", "[gw]:1"] {
            assert!(parse_public(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let error = Settings { lease_secs: Some(0), ..in_folder(Path::new("d")) }.resolve().unwrap_err();
        assert!(error.to_string().contains("lease_secs"));
    }
}

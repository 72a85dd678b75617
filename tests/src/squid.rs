//! A real squid: an HTTP proxy that lets CONNECT through for those who know the password, and answers 407 to others.

use anyhow::Result;

use crate::install::{self, Server};
use crate::ports::Port;
use crate::process::{Launch, Process, Signal};
use crate::stage::Stage;
use crate::wait;

/// The user name that the proxy knows.
pub const USER: &str = "gateway";
/// The user's password.
pub const PASSWORD: &str = "open sesame";
/// crypt(3), MD5, of [`PASSWORD`].
const PASSWORD_HASH: &str = "$1$postern$TIYETPeQYMYLdTAJaxchU1";

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub struct Squid {
    process: Process,
    port: Port,
    access_log: std::path::PathBuf,
}

impl Squid {
    /// Installs squid where it is missing and starts it on a free port.
    pub async fn start(stage: &Stage) -> Result<Self> {
        install::ensure(&[Server::Squid]).await?;
        let folder = stage.folder("squid")?;
        let port = Port::free()?;
        let as_root = rustix::process::getuid().is_root();
        std::fs::write(folder.join("users"), format!("{USER}:{PASSWORD_HASH}\n"))?;
        let configuration = folder.join("squid.conf");
        let access_log = folder.join("access.txt");
        std::fs::write(&configuration, configuration_text(&folder.display().to_string(), &port, as_root))?;
        if as_root {
            Launch::new("chown", "chown").args(["-R", "proxy"]).arg(&folder).success().await?;
        }
        let name = format!("postern{}", port.number());
        let squid = Launch::new("squid", "/usr/sbin/squid").args(["-N", "-n", &name, "-f"]).arg(&configuration);
        // Its shared memory goes only in an orderly shutdown.
        let mut process = squid.dropped_by(Signal::TERM).start(stage)?;
        let address = port.address();
        let answered = wait::until_true("squid listens", wait::SOON, || async {
            Ok(tokio::net::TcpStream::connect(address).await.is_ok())
        });
        answered.await.or_else(|error| process.must_run().and(Err(error)))?;
        Ok(Self { process, port, access_log })
    }

    /// URL with the right user name and password.
    pub fn url(&self) -> String {
        format!("http://{USER}:{}@127.0.0.1:{}", PASSWORD.replace(' ', "%20"), self.port.number())
    }

    /// URL without credentials, or with wrong ones.
    pub fn url_with(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port.number())
    }

    /// What the proxy noted of its clients so far.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(&self.access_log).unwrap_or_default()
    }

    /// The proxy's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn configuration_text(folder: &str, port: &Port, as_root: bool) -> String {
    let user = if as_root { "cache_effective_user proxy\n" } else { "" };
    format!(
        "http_port 127.0.0.1:{port}\n{user}visible_hostname proxy.corp.example\n\
         pid_filename {folder}/squid.pid\ncache_log stdio:{folder}/cache.txt\n\
         access_log stdio:{folder}/access.txt\nbuffered_logs off\ncache deny all\nmemory_pools off\n\
         coredump_dir {folder}\nnetdb_filename none\npinger_enable off\nshutdown_lifetime 0 seconds\n\
         auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users\n\
         auth_param basic children 1\nauth_param basic realm corp\n\
         acl known proxy_auth REQUIRED\nacl tunnel method CONNECT\n\
         http_access deny !tunnel\nhttp_access allow known\nhttp_access deny all\n",
        port = port.number()
    )
}

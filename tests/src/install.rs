//! The Debian packages that the real servers come from: installed when missing, as root or through sudo.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::Launch;

/// A server that the harness can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// slapd with the command line clients.
    OpenLdap,
    /// 389 Directory Server, with the command line clients of OpenLDAP.
    Ds389,
    /// Samba as an Active Directory domain controller.
    SambaAd,
    /// `PostgreSQL`, any version.
    Postgres,
    /// The squid HTTP proxy.
    Squid,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::OpenLdap, Self::Ds389, Self::SambaAd, Self::Postgres, Self::Squid];

    /// The Debian packages that it needs.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::OpenLdap => &["slapd", "ldap-utils"],
            // It brings certutil, pk12util and pwdhash.
            Self::Ds389 => &["389-ds-base", "ldap-utils", "openssl"],
            Self::SambaAd => &[
                "samba",
                "samba-ad-dc",
                "samba-ad-provision",
                "samba-dsdb-modules",
                "samba-vfs-modules",
                "python3-samba",
                "winbind",
                "ldb-tools",
                "ldap-utils",
            ],
            Self::Postgres => &["postgresql"],
            Self::Squid => &["squid"],
        }
    }

    fn is_installed(self) -> bool {
        let all_exist = |paths: &[&str]| paths.iter().all(|path| Path::new(path).exists());
        match self {
            Self::OpenLdap => all_exist(&["/usr/sbin/slapd", "/usr/bin/ldapmodify", "/usr/bin/ldapsearch"]),
            Self::Ds389 => all_exist(&[
                "/usr/sbin/ns-slapd",
                "/usr/share/dirsrv/data/template-dse.ldif",
                "/usr/bin/certutil",
                "/usr/bin/pk12util",
                "/usr/bin/pwdhash",
                "/usr/bin/openssl",
                "/usr/bin/ldapmodify",
            ]),
            Self::SambaAd => all_exist(&[
                "/usr/sbin/samba",
                "/usr/bin/samba-tool",
                "/usr/share/samba/setup",
                "/usr/bin/ldbadd",
                "/usr/bin/ldapmodify",
            ]),
            Self::Postgres => crate::postgres_programs::folder().is_some(),
            Self::Squid => all_exist(&["/usr/sbin/squid", "/usr/lib/squid/basic_ncsa_auth"]),
        }
    }
}

/// The servers of these that are not installed.
pub fn missing(servers: &[Server]) -> Vec<Server> {
    servers.iter().copied().filter(|server| !server.is_installed()).collect()
}

/// Installs what is missing of these servers; without the right to do so, fails with the command that would.
pub async fn ensure(servers: &[Server]) -> Result<()> {
    if missing(servers).is_empty() {
        return Ok(());
    }
    let _one_at_a_time = tokio::task::spawn_blocking(lock).await??;
    let wanted = missing(servers);
    if wanted.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = wanted.iter().flat_map(|server| server.packages()).copied().collect();
    packages.sort_unstable();
    packages.dedup();
    install(&packages).await?;
    match missing(servers).as_slice() {
        [] => Ok(()),
        still => bail!("{} installed, and yet {still:?} cannot be found", packages.join(" ")),
    }
}

/// One installation at a time on this machine. A folder that is there is locked, so that no file is left behind.
fn lock() -> Result<File> {
    let folder = std::env::temp_dir();
    let folder = File::open(&folder).with_context(|| format!("cannot open {}", folder.display()))?;
    folder.lock().context("cannot lock the installation")?;
    Ok(folder)
}

/// As root: a policy-rc.d where there is none keeps the packages from starting servers of their own. Whoever is killed
/// meanwhile leaves it behind; it is known by its mark, and the next one takes it away.
const SCRIPT: &str = r#"
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
mark='# Made by the tests of Postern while they install packages; may be removed.'
if [ ! -e "$policy" ] || grep -qxF "$mark" "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy" && chmod 755 "$policy"
fi
apt-get install -y -q --no-install-recommends "$@" ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }
"#;

async fn install(packages: &[&str]) -> Result<()> {
    let by_hand = format!("sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    let shell = if rustix::process::getuid().is_root() {
        Launch::new("apt-get", "/bin/sh")
    } else if sudo_works().await {
        Launch::new("apt-get", "sudo").args(["-n", "/bin/sh"])
    } else {
        bail!("needed and not installed: {}. Install it with: {by_hand}", packages.join(" "));
    };
    let run = shell.args(["-c", SCRIPT, "install"]).args(packages);
    let output = run.output_within(Duration::from_mins(10)).await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("cannot install {}: {said}\nTry it by hand: {by_hand}", packages.join(" "))
}

async fn sudo_works() -> bool {
    let asked = Launch::new("sudo", "sudo").args(["-n", "true"]).output().await;
    asked.is_ok_and(|output| output.status.success())
}

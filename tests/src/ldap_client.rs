//! OpenLDAP's own command line clients, as the administrator of a test's server: nothing of ours judges ours.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::ldif::{self, Entry};
use crate::process::Launch;

/// How the clients reach a server, and their bind account.
#[derive(Clone, Debug)]
pub struct LdapClient {
    url: String,
    bind_dn: String,
    password: String,
    ca_file: Option<PathBuf>,
}

impl LdapClient {
    /// Clients that bind with a DN and a password.
    pub fn new(url: &str, bind_dn: &str, password: &str) -> Self {
        Self { url: url.to_owned(), bind_dn: bind_dn.to_owned(), password: password.to_owned(), ca_file: None }
    }

    /// The authority that they trust, where the URL asks for TLS.
    #[must_use]
    pub fn trusting(self, ca_file: PathBuf) -> Self {
        Self { ca_file: Some(ca_file), ..self }
    }

    /// The same server, as somebody else.
    #[must_use]
    pub fn bound_as(&self, bind_dn: &str, password: &str) -> Self {
        Self { bind_dn: bind_dn.to_owned(), password: password.to_owned(), ..self.clone() }
    }

    /// One of the programs with its connection arguments.
    pub fn program(&self, name: &str) -> Launch {
        let mut launch = Launch::new(name, Path::new("/usr/bin").join(name)).env("LDAPNOINIT", "1");
        if let Some(file) = &self.ca_file {
            // LDAPNOINIT would make the clients ignore the next two.
            launch = Launch::new(name, Path::new("/usr/bin").join(name));
            launch = launch.env("LDAPTLS_CACERT", file).env("LDAPTLS_REQCERT", "demand");
        }
        launch.args(["-x", "-H", &self.url, "-D", &self.bind_dn, "-w", &self.password])
    }

    /// Applies LDIF change records; records without a `changetype` are added.
    pub async fn apply(&self, changes: impl Into<Vec<u8>>) -> Result<()> {
        self.program("ldapmodify").arg("-a").input(changes).success().await?;
        Ok(())
    }

    /// Deletes an entry.
    pub async fn delete(&self, dn: &str) -> Result<()> {
        let mut change = Vec::new();
        ldif::write_value(&mut change, "dn", dn)?;
        change.extend_from_slice(b"changetype: delete\n");
        self.apply(change).await
    }

    /// Gives an entry a new name (`newrdn`), and a new parent where one is named.
    pub async fn rename(&self, dn: &str, new_rdn: &str, new_superior: Option<&str>) -> Result<()> {
        let mut change = Vec::new();
        ldif::write_value(&mut change, "dn", dn)?;
        change.extend_from_slice(b"changetype: modrdn\n");
        ldif::write_value(&mut change, "newrdn", new_rdn)?;
        change.extend_from_slice(b"deleteoldrdn: 1\n");
        if let Some(superior) = new_superior {
            ldif::write_value(&mut change, "newsuperior", superior)?;
        }
        self.apply(change).await
    }

    /// Replaces all values of an attribute; no values delete it.
    pub async fn replace(&self, dn: &str, attribute: &str, values: &[&str]) -> Result<()> {
        let mut change = Vec::new();
        ldif::write_value(&mut change, "dn", dn)?;
        change.extend_from_slice(format!("changetype: modify\nreplace: {attribute}\n").as_bytes());
        for value in values {
            ldif::write_value(&mut change, attribute, value)?;
        }
        self.apply(change).await
    }

    /// All entries below a base DN that match, read page by page.
    pub async fn entries(&self, base_dn: &str, filter: &str, attributes: &[&str]) -> Result<Vec<Entry>> {
        let search = self.program("ldapsearch");
        let search = search.args(["-LLL", "-o", "ldif-wrap=no", "-E", "pr=1000/noprompt", "-z", "0", "-b", base_dn]);
        ldif::parse(&search.arg(filter).args(attributes).success().await?)
    }

    /// One entry with its operational attributes.
    pub async fn operational(&self, dn: &str) -> Result<Entry> {
        let search = self.program("ldapsearch").args(["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn, "*", "+"]);
        let entries = ldif::parse(&search.success().await?)?;
        entries.into_iter().next().with_context(|| format!("no entry {dn}"))
    }
}

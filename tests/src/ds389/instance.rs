//! The folder of a 389 Directory Server: what `dscreate` would write, from the template that the package brings.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::options::mapping_dn;
use super::{ADMIN, ADMIN_PASSWORD, Ds389, Options, Plugin, SUFFIX};
use crate::certificates::write_private;
use crate::process::Launch;

const TEMPLATE: &str = "/usr/share/dirsrv/data/template-dse.ldif";
const FOLDERS: [&str; 8] = ["db", "run", "lock", "log", "tmp", "ldif", "bak", "schema"];
/// Without a file of this name the server does not start.
const OWN_SCHEMA: &str =
    "dn: cn=schema\nobjectclass: top\nobjectclass: ldapSubentry\nobjectclass: subschema\ncn: schema\n";
/// Client certificates: the common name is that of an entry.
const CERTIFICATE_MAP: &str =
    "certmap default default\ndefault:DNComps\ndefault:FilterComps cn\ndefault:verifycert off\n";

impl Ds389 {
    /// Certificates go through an NSS database. Without a password it needs no pin file.
    pub(super) async fn certificates(&self) -> Result<()> {
        let folder = &self.folder;
        std::fs::write(folder.join("ca.pem"), self.authority.certificate_pem())?;
        let (certificate, key) = self.authority.server(&["localhost", "127.0.0.1"])?.write(folder, "server")?;
        let database = format!("sql:{}", folder.display());
        let bundle = folder.join("server.p12");
        let tool = |name: &str| Launch::new(name, Path::new("/usr/bin").join(name));
        tool("certutil").args(["-N", "--empty-password", "-d", &database]).success().await?;
        let pack = tool("openssl").args(["pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:x"]);
        let pack = pack.arg("-in").arg(certificate).arg("-inkey").arg(key).arg("-out").arg(&bundle);
        pack.success().await?;
        let unpack = tool("pk12util").args(["-W", "x", "-K", "", "-d", &database]).arg("-i").arg(&bundle);
        unpack.success().await?;
        let trust = tool("certutil").args(["-A", "-n", "corp-ca", "-t", "CT,,", "-a", "-d", &database]);
        trust.arg("-i").arg(self.ca_file()).success().await?;
        std::fs::remove_file(bundle).context("cannot remove the bundle")
    }

    /// Everything but the entries.
    pub(super) async fn instance(&self, options: &Options) -> Result<()> {
        for name in FOLDERS {
            std::fs::create_dir(self.folder.join(name)).with_context(|| format!("folder {name}"))?;
        }
        std::fs::write(self.folder.join("slapd-collations.conf"), "")?;
        std::fs::write(self.folder.join("certmap.conf"), CERTIFICATE_MAP)?;
        std::fs::write(self.folder.join("schema/99user.ldif"), OWN_SCHEMA)?;
        let template = std::fs::read_to_string(TEMPLATE).with_context(|| format!("cannot read {TEMPLATE}"))?;
        let user = Launch::new("id", "/usr/bin/id").arg("-un").success().await?;
        let hash = Launch::new("pwdhash", "/usr/bin/pwdhash").args(["-s", "SSHA512", ADMIN_PASSWORD]).success().await?;
        let mut configuration = self.filled(&template, [user.trim(), hash.trim()], options);
        self.backend(&mut configuration, "userroot", SUFFIX, None)?;
        if options.branch_ldif.is_some() {
            self.backend(&mut configuration, "branch", &Self::branch_dn(), Some(SUFFIX))?;
        }
        ensure!(!configuration.contains("%ds_"), "the template has places that nobody fills");
        write_private(&self.folder.join("dse.ldif"), configuration.as_bytes())
    }

    /// The template with its places filled, our own settings, and the plug-ins switched on.
    fn filled(&self, template: &str, [user, hash]: [&str; 2], options: &Options) -> String {
        let folder = self.folder.display().to_string();
        let mut text = template.to_owned();
        // Beside the folder, where a failed scenario shows it.
        text = text.replace("%log_dir%/errors", &format!("{folder}.errors.log"));
        for name in ["schema", "lock", "tmp", "ldif", "bak", "run", "log"] {
            text = text.replace(&format!("%{name}_dir%"), &format!("{folder}/{name}"));
        }
        for name in ["cert_dir", "inst_dir", "config_dir"] {
            text = text.replace(&format!("%{name}%"), &folder);
        }
        let port = self.port.number().to_string();
        let (database, socket) = (format!("{folder}/db"), format!("{folder}/run/ldapi"));
        let places = [
            ("%fqdn%", "localhost"),
            ("%ds_port%", port.as_str()),
            ("%ds_user%", user),
            ("%rootdn%", ADMIN),
            ("%ds_passwd%", hash),
            ("%ldapi_enabled%", "off"),
            ("%ldapi_autobind%", "off"),
            ("%ldapi%", socket.as_str()),
            ("%ds_suffix%", SUFFIX),
            ("%db_dir%", database.as_str()),
            ("%db_home_dir%", database.as_str()),
            ("%db_lib%", "bdb"),
        ];
        for (place, value) in places {
            text = text.replace(place, value);
        }
        let blocks = text.trim_end().split("\n\n").map(|block| self.settled(block, options));
        let mut text = blocks.collect::<Vec<_>>().join("\n\n");
        text.push_str("\n\n");
        text
    }

    /// One entry of the template with our own settings.
    fn settled(&self, block: &str, options: &Options) -> String {
        let mut block = block.trim_end().to_owned();
        if block.starts_with("dn: cn=config\n") {
            // Small hashes, so that a population is loaded in seconds; the access log as it happens.
            let tls_port = self.tls_port.number();
            let settings = format!(
                "\nnsslapd-listenhost: 127.0.0.1\nnsslapd-securelistenhost: 127.0.0.1\nnsslapd-security: on\n\
                 nsslapd-securePort: {tls_port}\nnsslapd-accesslog-logbuffering: off\npasswordStorageScheme: SSHA512\n{}",
                options.config_ldif.trim_end()
            );
            block.push_str(&settings);
        }
        if block.contains("\nnsslapd-backend-implement:") {
            block.push_str("\nnsslapd-cache-autosize: 0\nnsslapd-dbcachesize: 33554432\nnsslapd-dbncache: 0");
        }
        let wanted = |plugin: &&Plugin| block.contains(&format!("\ncn: {}\n", plugin.common_name()));
        match options.plugins.iter().find(wanted) {
            None => {}
            Some(plugin) => {
                // The template spells it in two ways.
                for name in ["nsslapd-pluginenabled", "nsslapd-pluginEnabled"] {
                    block = block.replace(&format!("{name}: off"), &format!("{name}: on"));
                }
                match plugin {
                    Plugin::MemberOf => block.push_str("\nmemberOfGroupAttr: uniqueMember"),
                    Plugin::RetroChangelog => block.push_str("\nnsslapd-attribute: nsuniqueid:targetUniqueId"),
                    _ => {}
                }
            }
        }
        block.trim_end().to_owned()
    }

    /// The entries of a backend and of its place in the mapping tree.
    fn backend(&self, text: &mut String, name: &str, suffix: &str, parent: Option<&str>) -> Result<()> {
        let folder = self.folder.join("db").join(name);
        std::fs::create_dir(&folder)?;
        let parent = parent.map_or_else(String::new, |parent| format!("nsslapd-parent-suffix: {parent}\n"));
        write!(
            text,
            "dn: cn={name},cn=ldbm database,cn=plugins,cn=config\nobjectClass: top\nobjectClass: extensibleObject\n\
             objectClass: nsBackendInstance\ncn: {name}\nnsslapd-suffix: {suffix}\nnsslapd-directory: {folder}\n\
             nsslapd-cachememsize: 67108864\n\n\
             dn: {mapping}\nobjectClass: top\nobjectClass: extensibleObject\nobjectClass: nsMappingTree\ncn: {suffix}\n\
             nsslapd-state: backend\nnsslapd-backend: {name}\n{parent}\n",
            folder = folder.display(),
            mapping = mapping_dn(suffix),
        )?;
        Ok(())
    }
}

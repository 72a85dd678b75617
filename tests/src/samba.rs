//! A real Active Directory: a Samba domain controller on a loopback address of its own.
//!
//! The domain is provisioned once for each version of Samba and kept, stopped, outside of the checkout; every use
//! works on a copy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::certificates::CertificateAuthority;
use crate::install::{self, Server};
use crate::kept;
use crate::ldif::{self, Entry};
use crate::ports::LoopbackAddress;
use crate::process::{Launch, Process};
use crate::stage::Stage;
use crate::wait;

/// Naming context of the domain.
pub const SUFFIX: &str = "DC=corp,DC=example";
/// The domain administrator, as a user principal name.
pub const ADMIN: &str = "administrator@corp.example";
/// The domain administrator's password.
pub const ADMIN_PASSWORD: &str = "Passw0rd!corp";
/// The user principal name of [`Samba::add_reader`]'s account.
pub const READER: &str = "svc-reader@corp.example";
/// Its password.
pub const READER_PASSWORD: &str = "Gateway!reads7";
/// Members of the large group `everyone`: more than the server gives at once (1,500).
pub const LARGE_GROUP: u32 = 1_600;

/// The attributes that the agent is configured to read from people.
pub const USER_ATTRIBUTES: [&str; 8] = [
    "sAMAccountName",
    "userPrincipalName",
    "givenName",
    "sn",
    "displayName",
    "mail",
    "userAccountControl",
    "objectSid",
];

/// Bump when what [`content`] writes changes.
const CONTENT_VERSION: u32 = 2;
/// Samba's tools are written for Debian's own Python.
const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A running domain controller; killed when dropped.
#[derive(Debug)]
pub struct Samba {
    process: Process,
    folder: PathBuf,
    address: LoopbackAddress,
}

impl Samba {
    /// Installs Samba where it is missing, copies the domain, and waits until it answers.
    ///
    /// The domain holds, below `OU=staff`: 1,600 people `Person N` (`pN`, without passwords; every tenth disabled),
    /// the group `everyone` of all of them and the group `nested`, whose one member is `everyone`.
    pub async fn start(stage: &Stage) -> Result<Self> {
        install::ensure(&[Server::SambaAd]).await?;
        let address = LoopbackAddress::free(389)?;
        let folder = stage.folder("samba")?;
        let domain = folder.join("domain");
        let kept = kept_domain().await?;
        kept::copy(&kept, &domain).await?;
        std::fs::write(domain.join("etc/smb.conf"), configuration(&domain, &address.address().to_string()))?;
        let authority = CertificateAuthority::new("corp domain CA")?;
        std::fs::write(folder.join("ca.pem"), authority.certificate_pem())?;
        authority
            .server(&["localhost", "dc1.corp.example", &address.address().to_string()])?
            .write(&folder, "server")?;
        let samba = Launch::new("samba", "/usr/sbin/samba").args(["-i", "--debug-stdout", "-M", "single", "-s"]);
        let process = samba.arg(domain.join("etc/smb.conf")).start(stage)?;
        let mut samba = Self { process, folder, address };
        samba.answers().await.or_else(|error| samba.process.must_run().and(Err(error)))?;
        Ok(samba)
    }

    /// URL with TLS, by address.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}:636", self.address.address())
    }

    /// URL without TLS, on which only STARTTLS lets anybody bind.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}:389", self.address.address())
    }

    /// Certificate of the authority that issued the server's, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Where the people and groups are.
    pub fn staff_dn() -> String {
        format!("OU=staff,{SUFFIX}")
    }

    /// Applies LDIF change records as the domain administrator.
    pub async fn apply(&self, changes: impl Into<Vec<u8>>) -> Result<()> {
        self.client("ldapmodify").arg("-a").input(changes).success().await?;
        Ok(())
    }

    /// Turns the optional feature "Recycle Bin" on (MS-ADTS §6.1.1.2.4.1.3.1), for good.
    pub async fn enable_recycle_bin(&self) -> Result<()> {
        let feature = format!("CN=Partitions,CN=Configuration,{SUFFIX}:766ddcd8-acd0-445e-f3b9-a7f9b6744f2a");
        let change = format!("dn:\nchangetype: modify\nadd: enableOptionalFeature\nenableOptionalFeature: {feature}\n");
        // Samba lets nobody do it over LDAP.
        let modify = Launch::new("ldbmodify", "/usr/bin/ldbmodify").env("PATH", SEARCH_PATH);
        let modify = modify.arg("-H").arg(self.folder.join("domain/private/sam.ldb"));
        let modify = modify.arg(format!("--configfile={}", self.folder.join("domain/etc/smb.conf").display()));
        modify.input(change).success().await?;
        Ok(())
    }

    /// Brings a deleted entry back to where it was (MS-ADTS §3.1.1.5.3.7), as an administrator would.
    pub async fn undelete(&self, guid: &str, dn: &str) -> Result<()> {
        let (name, _) = dn.split_once(',').context("no name")?;
        let change = format!(
            "dn: {name}\\0ADEL:{guid},CN=Deleted Objects,{SUFFIX}\nchangetype: modify\ndelete: isDeleted\n-\n\
             replace: distinguishedName\ndistinguishedName: {dn}\n"
        );
        // LDAP_SERVER_SHOW_DELETED_OID
        self.client("ldapmodify").args(["-e", "!1.2.840.113556.1.4.417"]).input(change).success().await?;
        Ok(())
    }

    /// An ordinary account for the agent to bind as; its DN.
    pub async fn add_reader(&self) -> Result<String> {
        let dn = format!("CN=svc-reader,CN=Users,{SUFFIX}");
        // [MS-ADTS] 3.1.1.3.1.5: quoted, in UTF-16LE.
        let quoted: Vec<u8> = format!("\"{READER_PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let password = STANDARD.encode(quoted);
        self.apply(format!(
            "dn: {dn}\nobjectClass: user\nsAMAccountName: svc-reader\nuserPrincipalName: {READER}\n\
             userAccountControl: 512\nunicodePwd:: {password}\n"
        ))
        .await?;
        Ok(dn)
    }

    /// Denies the reader to read an attribute, by its `schemaIDGUID`, of everybody below `OU=staff`.
    pub async fn hide_from_reader(&self, attribute: &str) -> Result<()> {
        self.set_rights_of_reader(&[&format!("OD;CI;RP;{attribute};")]).await
    }

    /// Adds entries to the access control list of `OU=staff` that are about the reader ([MS-DTYP] 2.5.1.1): what stands
    /// in each before the account.
    pub async fn set_rights_of_reader(&self, entries: &[&str]) -> Result<()> {
        let search = self.client("ldapsearch").args(["-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX]);
        let found = ldif::parse(&search.args(["(sAMAccountName=svc-reader)", "objectSid"]).success().await?)?;
        let sid = found.first().and_then(|entry| entry.values("objectSid").first()).context("no reader")?;
        let sid = text_of_sid(sid)?;
        let list = entries.iter().map(|entry| format!("({entry};{sid})")).collect::<Vec<_>>().concat();
        let configuration = self.folder.join("domain/etc/smb.conf");
        let tool = Launch::new("samba-tool", "/usr/bin/samba-tool").env("PATH", SEARCH_PATH);
        let tool = tool.args(["dsacl", "set", "--objectdn", &Self::staff_dn(), "--sddl", &list, "-s"]);
        tool.arg(configuration).success().await?;
        Ok(())
    }

    /// All entries below `OU=staff` that match, with `attributes`.
    pub async fn entries(&self, filter: &str, attributes: &[&str]) -> Result<Vec<Entry>> {
        let search = self.client("ldapsearch").args(["-LLL", "-o", "ldif-wrap=no", "-E", "pr=1000/noprompt", "-b"]);
        let text = search.arg(Self::staff_dn()).arg(filter).args(attributes).success().await?;
        ldif::parse(&text)
    }

    /// Whether an account can bind with a password.
    pub async fn can_bind(&self, name: &str, password: &str) -> Result<bool> {
        let read = Launch::new("ldapsearch", "/usr/bin/ldapsearch");
        let read = read.env("LDAPTLS_CACERT", self.ca_file()).env("LDAPTLS_REQCERT", "demand");
        let read =
            read.args(["-x", "-H", &self.ldaps_url(), "-D", name, "-w", password, "-s", "base", "-b", SUFFIX, "1.1"]);
        Ok(read.output().await?.status.success())
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn client(&self, program: &str) -> Launch {
        let launch = Launch::new(program, Path::new("/usr/bin").join(program));
        let launch = launch.env("LDAPTLS_CACERT", self.ca_file()).env("LDAPTLS_REQCERT", "demand");
        launch.args(["-x", "-H", &self.ldaps_url(), "-D", ADMIN, "-w", ADMIN_PASSWORD])
    }

    async fn answers(&self) -> Result<()> {
        wait::until_true("Samba lets the administrator bind", wait::SOON, || async {
            let read = self.client("ldapsearch").args(["-s", "base", "-b", "", "defaultNamingContext"]);
            read.success().await.map(|_| true)
        })
        .await
    }
}

/// [MS-DTYP] 2.4.2.1 and 2.4.2.2: `S-1-5-21-…`.
fn text_of_sid(sid: &[u8]) -> Result<String> {
    let (head, parts) = sid.split_at_checked(8).context("a SID of less than eight bytes")?;
    let parts: Vec<String> = parts
        .chunks_exact(4)
        .map(|part| part.try_into().map(|part| u32::from_le_bytes(part).to_string()))
        .collect::<Result<_, _>>()?;
    Ok(format!("S-{}-{}-{}", head[0], head[7], parts.join("-")))
}

/// The stopped domain to copy from; provisioned and filled under a lock when this machine has none yet.
async fn kept_domain() -> Result<PathBuf> {
    let version = Launch::new("dpkg-query", "dpkg-query").args(["-W", "-f", "${Version}", "samba"]).success().await?;
    let version: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    kept::folder(&format!("samba-{version}-{CONTENT_VERSION}"), provision).await
}

async fn provision(domain: &Path) -> Result<()> {
    let tool = Launch::new("samba-tool", "/usr/bin/samba-tool").env("PATH", SEARCH_PATH);
    let tool = tool.args(["domain", "provision", "--server-role=dc", "--use-rfc2307", "--realm=CORP.EXAMPLE"]);
    let tool = tool.args(["--domain=CORP", "--host-name=dc1", "--host-ip=127.77.0.1", "--dns-backend=NONE"]);
    let tool = tool.args(["--backend-store=tdb", "--option=bind interfaces only=yes"]);
    let tool = tool.arg(format!("--adminpass={ADMIN_PASSWORD}")).arg(format!("--targetdir={}", domain.display()));
    let output = tool.output_within(Duration::from_mins(3)).await?;
    ensure!(output.status.success(), "samba-tool: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(domain.join("etc/smb.conf"), configuration(domain, "127.77.0.1"))?;
    // Offline and without passwords: 1,600 people in seconds instead of minutes.
    let add = Launch::new("ldbadd", "/usr/bin/ldbadd").env("PATH", SEARCH_PATH);
    let add = add.arg("-H").arg(domain.join("private/sam.ldb"));
    let add = add.arg(format!("--configfile={}", domain.join("etc/smb.conf").display()));
    let output = add.input(content()?).output_within(Duration::from_mins(3)).await?;
    ensure!(output.status.success(), "ldbadd: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn content() -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut out = Vec::new();
    let staff = Samba::staff_dn();
    writeln!(out, "dn: {staff}\nobjectClass: organizationalUnit\nou: staff\n")?;
    for number in 0..LARGE_GROUP {
        // [MS-ADTS] 2.2.16: normal account, no password needed; disabled for every tenth.
        let control = if number % 10 == 9 { 0x0222 } else { 0x0220 };
        writeln!(
            out,
            "dn: CN=Person {number},{staff}\nobjectClass: user\nsAMAccountName: p{number}\n\
             userPrincipalName: p{number}@corp.example\nuserAccountControl: {control}\ngivenName: Person\n\
             sn: Number {number}\ndisplayName: Person {number}\nmail: p{number}@corp.example\n"
        )?;
    }
    writeln!(out, "dn: CN=everyone,{staff}\nobjectClass: group\nsAMAccountName: everyone")?;
    for number in 0..LARGE_GROUP {
        writeln!(out, "member: CN=Person {number},{staff}")?;
    }
    writeln!(
        out,
        "\ndn: CN=nested,{staff}\nobjectClass: group\nsAMAccountName: nested\nmember: CN=everyone,{staff}\n"
    )?;
    Ok(out)
}

/// One process, everything in its own folder, only LDAP.
fn configuration(domain: &Path, address: &str) -> String {
    let domain = domain.display();
    let server = domain.to_string().trim_end_matches("/domain").to_owned();
    format!(
        "[global]\nnetbios name = DC1\nrealm = CORP.EXAMPLE\nworkgroup = CORP\n\
         server role = active directory domain controller\nserver services = ldap\nidmap_ldb:use rfc2307 = yes\n\
         interfaces = {address}/8\nbind interfaces only = yes\nlogging = file\nlog level = 1\n\
         private dir = {domain}/private\nstate directory = {domain}/state\ncache directory = {domain}/cache\n\
         lock directory = {domain}\npid directory = {domain}\nncalrpc dir = {domain}/ncalrpc\n\
         winbindd socket directory = {domain}/winbindd\nbinddns dir = {domain}/bind-dns\n\
         tls enabled = yes\ntls certfile = {server}/server.pem\ntls keyfile = {server}/server.key\n\
         tls cafile = {server}/ca.pem\n\
         [sysvol]\npath = {domain}/state/sysvol\nread only = no\n"
    )
}

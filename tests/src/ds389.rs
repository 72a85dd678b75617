//! A real 389 Directory Server in a temporary folder, on free loopback ports, with TLS from an authority of its own. It
//! is started by hand, in the foreground: `dscreate` needs systemd.

mod content;
mod instance;
mod options;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub use self::options::{ADMIN, ADMIN_PASSWORD, Options, Plugin, READER_PASSWORD, SUFFIX};
use crate::certificates::CertificateAuthority;
use crate::install::{self, Server};
use crate::ldap_client::LdapClient;
use crate::ldif::Entry;
use crate::ports::Port;
use crate::process::{Launch, Process, Signal};
use crate::stage::Stage;
use crate::wait;

const PROGRAM: &str = "/usr/sbin/ns-slapd";
/// A load of 20,000 entries takes 6 s.
const LOAD_BOUND: Duration = Duration::from_mins(3);

/// A real ns-slapd; killed when dropped.
#[derive(Debug)]
pub struct Ds389 {
    process: Option<Process>,
    folder: PathBuf,
    port: Port,
    tls_port: Port,
    authority: CertificateAuthority,
}

impl Ds389 {
    /// Installs it where it is missing, loads the population, and waits until the server answers.
    pub async fn start(stage: &Stage, options: Options) -> Result<Self> {
        install::ensure(&[Server::Ds389]).await?;
        let folder = stage.folder("ds389")?;
        let authority = CertificateAuthority::new("corp directory CA")?;
        let mut server = Self { process: None, folder, port: Port::free()?, tls_port: Port::free()?, authority };
        server.certificates().await?;
        server.instance(&options).await?;
        server.load("userroot", &content::main(&options)?).await?;
        if let Some(branch) = &options.branch_ldif {
            server.load("branch", &content::branch(branch)).await?;
        }
        server.run(stage).await?;
        Ok(server)
    }

    /// URL without TLS.
    pub fn ldap_url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port.number())
    }

    /// URL with TLS.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port.number())
    }

    /// Where it listens with TLS.
    pub fn ldaps_address(&self) -> std::net::SocketAddr {
        self.tls_port.address()
    }

    /// Certificate of the authority that issued the server's, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The authority that issued the server's certificate.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// DN of an ordinary entry, which may read what the ACIs say.
    pub fn reader_dn() -> String {
        options::reader_dn()
    }

    /// DN of the second backend's suffix.
    pub fn branch_dn() -> String {
        options::branch_dn()
    }

    /// An ACI that lets the reader read `target` (`targetattr = "mail || cn"`); `name` is for people.
    pub fn reading(name: &str, target: &str) -> String {
        options::reading(name, target)
    }

    /// An ACI that takes the right to read `target` from the reader again.
    pub fn hiding(name: &str, target: &str) -> String {
        let reader = Self::reader_dn();
        format!(
            "({target})(version 3.0; acl \"hidden {name}\"; deny (read, search, compare) userdn = \"ldap:///{reader}\";)"
        )
    }

    /// The server's process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills the server, mid-page if need be.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Starts it again on the same ports with the same data, after an orderly end where it runs.
    pub async fn restart(&mut self, stage: &Stage) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(wait::SOON).await?;
        }
        self.run(stage).await
    }

    /// Stops the server from answering, its connections open ([`Ds389::thaw`] lets it go on).
    pub fn freeze(&self) -> Result<()> {
        self.process().context("ns-slapd does not run")?.signal(Signal::STOP)
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) -> Result<()> {
        self.process().context("ns-slapd does not run")?.signal(Signal::CONT)
    }

    /// The command line clients as the directory manager.
    pub fn admin(&self) -> LdapClient {
        // By address: the clients look for the machine's own name in the certificate of localhost.
        let url = format!("ldaps://{}", self.tls_port.address());
        LdapClient::new(&url, ADMIN, ADMIN_PASSWORD).trusting(self.ca_file())
    }

    /// Applies LDIF change records as the directory manager, to entries and to `cn=config`.
    pub async fn apply(&self, changes: impl Into<Vec<u8>>) -> Result<()> {
        self.admin().apply(changes).await
    }

    /// Deletes an entry.
    pub async fn delete(&self, dn: &str) -> Result<()> {
        self.admin().delete(dn).await
    }

    /// Gives an entry a new name, and a new parent where one is named.
    pub async fn rename(&self, dn: &str, new_rdn: &str, new_superior: Option<&str>) -> Result<()> {
        self.admin().rename(dn, new_rdn, new_superior).await
    }

    /// Replaces all values of an attribute; no values delete it.
    pub async fn replace(&self, dn: &str, attribute: &str, values: &[&str]) -> Result<()> {
        self.admin().replace(dn, attribute, values).await
    }

    /// Replaces the ACIs of the suffix.
    pub async fn set_acis(&self, acis: &[String]) -> Result<()> {
        let acis: Vec<&str> = acis.iter().map(String::as_str).collect();
        self.replace(SUFFIX, "aci", &acis).await
    }

    /// Gives the reader a new password.
    pub async fn set_reader_password(&self, password: &str) -> Result<()> {
        self.replace(&Self::reader_dn(), "userPassword", &[password]).await
    }

    /// Takes the backend of a suffix ([`SUFFIX`], [`Ds389::branch_dn`]) offline, or brings it back.
    pub async fn set_online(&self, suffix: &str, online: bool) -> Result<()> {
        let state = if online { "backend" } else { "disabled" };
        self.replace(&options::mapping_dn(suffix), "nsslapd-state", &[state]).await
    }

    /// Dumps the main backend, with every `nsUniqueId`, for [`Ds389::start_load`].
    pub async fn dump(&self) -> Result<PathBuf> {
        let file = self.folder.join("ldif/dump.ldif");
        let task = self.task("export", &format!("nsFilename: {}\nnsDumpUniqId: TRUE\n", file.display())).await?;
        self.task_ended(&task).await?;
        Ok(file)
    }

    /// Starts to load the main backend from a dump, as an administrator or the initialisation of a replica would: it is
    /// offline meanwhile. Returns the task, for [`Ds389::task_ended`].
    pub async fn start_load(&self, file: &Path) -> Result<String> {
        self.task("import", &format!("nsFilename: {}\n", file.display())).await
    }

    async fn task(&self, kind: &str, lines: &str) -> Result<String> {
        let dn = format!("cn={},cn={kind},cn=tasks,cn=config", uuid::Uuid::now_v7());
        let instance = "objectClass: extensibleObject\nnsInstance: userroot\nttl: 600\n";
        self.apply(format!("dn: {dn}\nobjectClass: top\n{instance}{lines}")).await?;
        Ok(dn)
    }

    /// Waits until a task has ended, and fails where the task did.
    pub async fn task_ended(&self, dn: &str) -> Result<()> {
        let code = wait::until("the task has ended", LOAD_BOUND, || async {
            let task = self.admin().operational(dn).await?;
            Ok(Some(task.text("nsTaskExitCode")).filter(|code| !code.is_empty()))
        })
        .await?;
        ensure!(code == "0", "{dn} ended with {code}");
        Ok(())
    }

    /// What the directory holds: all entries that match, with their user attributes and the operational ones that matter.
    pub async fn entries(&self, filter: &str) -> Result<Vec<Entry>> {
        let attributes = ["*", "nsUniqueId", "entryUUID", "nsAccountLock", "memberOf"];
        self.admin().entries(SUFFIX, filter, &attributes).await
    }

    /// One entry with its operational attributes.
    pub async fn operational(&self, dn: &str) -> Result<Entry> {
        self.admin().operational(dn).await
    }

    /// All people.
    pub async fn users(&self) -> Result<Vec<Entry>> {
        self.entries("(objectClass=inetOrgPerson)").await
    }

    /// All groups.
    pub async fn groups(&self) -> Result<Vec<Entry>> {
        self.entries("(objectClass=groupOfNames)").await
    }

    async fn load(&self, backend: &str, ldif: &[u8]) -> Result<()> {
        let file = self.folder.join(format!("ldif/{backend}.ldif"));
        std::fs::write(&file, ldif)?;
        let load = Launch::new("ldif2db", PROGRAM).args(["ldif2db", "-n", backend, "-D"]).arg(&self.folder);
        let output = load.arg("-i").arg(&file).output_within(LOAD_BOUND).await?;
        std::fs::remove_file(&file)?;
        ensure!(output.status.success(), "ldif2db: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    async fn run(&mut self, stage: &Stage) -> Result<()> {
        // Any -d keeps it in the foreground.
        let server = Launch::new("ds389", PROGRAM).args(["-d", "0", "-i"]).arg(self.folder.join("run/pid"));
        let mut process = server.arg("-D").arg(&self.folder).start(stage)?;
        let address = self.tls_port.address();
        // The client tool costs a fork a try: first wait for the listener alone.
        wait::until_true("ns-slapd listens", wait::SOON, || async {
            Ok(tokio::net::TcpStream::connect(address).await.is_ok())
        })
        .await
        .or_else(|error| process.must_run().and(Err(error)))?;
        self.process = Some(process);
        wait::until_true("ns-slapd answers", wait::SOON, || async {
            self.admin().program("ldapwhoami").success().await.map(|_| true)
        })
        .await
    }
}

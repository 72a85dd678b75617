//! A real OpenLDAP server in a temporary folder, on free loopback ports, with TLS from an authority of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::certificates::{CertificateAuthority, write_private};
use crate::install::{self, Server};
use crate::ldap_client::LdapClient;
use crate::ldif::Entry;
use crate::people::Population;
use crate::ports::Port;
use crate::process::{Launch, Process, Signal};
use crate::stage::Stage;
use crate::wait;

/// Naming context of every test directory.
pub const SUFFIX: &str = "dc=corp,dc=example";
/// Password of the directory's administrator.
pub const ADMIN_PASSWORD: &str = "admin secret";
/// First password of the reader, as which the agent binds.
pub const READER_PASSWORD: &str = "reader secret";

/// What kind of server to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who is in it.
    pub population: Population,
    /// Most entries that a search may return, all pages together; none: unlimited.
    pub size_limit: Option<u32>,
    /// The overlays memberof, refint and syncprov.
    pub overlays: bool,
    /// The overlay ppolicy, which records refused binds and locks an account after five.
    pub password_policy: bool,
    /// How long the server leaves a connection open on which nothing happens, whole seconds; none: for ever.
    pub idle_timeout: Option<Duration>,
    /// Whether the server's log names every request and the attributes that it changes.
    pub statements: bool,
    /// Rules of access, `access to … by …`, that come before the server's own.
    pub access_lines: String,
    /// More lines of the database's section of slapd.conf, such as `limits …`.
    pub database_lines: String,
    /// Entries of the test's own, below the suffix, loaded after the population.
    pub extra_ldif: String,
}

impl Options {
    /// A plain server with this many people.
    pub fn people(users: u32) -> Self {
        Self {
            population: Population::of(users),
            size_limit: None,
            overlays: false,
            password_policy: false,
            idle_timeout: None,
            statements: false,
            access_lines: String::new(),
            database_lines: String::new(),
            extra_ldif: String::new(),
        }
    }
}

/// A real slapd; killed when dropped.
#[derive(Debug)]
pub struct Slapd {
    process: Option<Process>,
    folder: PathBuf,
    port: Port,
    tls_port: Port,
    options: Options,
    authority: CertificateAuthority,
}

impl Slapd {
    /// Installs OpenLDAP where it is missing, loads the population, and waits until the server answers.
    pub async fn start(stage: &Stage, options: Options) -> Result<Self> {
        install::ensure(&[Server::OpenLdap]).await?;
        let folder = stage.folder("slapd")?;
        std::fs::create_dir(folder.join("database"))?;
        let authority = CertificateAuthority::new("corp directory CA")?;
        std::fs::write(folder.join("ca.pem"), authority.certificate_pem())?;
        authority.server(&["localhost", "127.0.0.1"])?.write(&folder, "server")?;
        let (port, tls_port) = (Port::free()?, Port::free()?);
        let mut slapd = Self { process: None, folder, port, tls_port, options, authority };
        slapd.write_configuration()?;
        slapd.load().await?;
        slapd.run(stage).await?;
        Ok(slapd)
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

    /// DN of an account that may read everything but passwords.
    pub fn reader_dn() -> String {
        format!("cn=reader,{SUFFIX}")
    }

    /// DN of the administrator, who may read passwords, too.
    pub fn admin_dn() -> String {
        format!("cn=admin,{SUFFIX}")
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

    /// Starts a killed server again on the same ports with the same data.
    pub async fn restart(&mut self, stage: &Stage) -> Result<()> {
        self.kill().await?;
        self.run(stage).await
    }

    /// Stops the server from answering, its connections open ([`Slapd::thaw`] lets it go on).
    pub fn freeze(&self) -> Result<()> {
        self.process().context("slapd does not run")?.signal(Signal::STOP)
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) -> Result<()> {
        self.process().context("slapd does not run")?.signal(Signal::CONT)
    }

    /// Applies LDIF change records, as the administrator; records without a `changetype` are added.
    pub async fn apply(&self, changes: impl Into<Vec<u8>>) -> Result<()> {
        self.admin().apply(changes).await
    }

    /// The same over TLS, as the agent would.
    pub async fn apply_over_tls(&self, changes: impl Into<Vec<u8>>) -> Result<()> {
        // OpenLDAP's clients take the machine's own name for `localhost`.
        let url = format!("ldaps://{}", self.ldaps_address());
        let admin = LdapClient::new(&url, &Self::admin_dn(), ADMIN_PASSWORD);
        admin.trusting(self.ca_file()).apply(changes).await
    }

    /// Deletes an entry.
    pub async fn delete(&self, dn: &str) -> Result<()> {
        self.admin().delete(dn).await
    }

    /// Gives an entry a new name (`newrdn`), and a new parent where one is named.
    pub async fn rename(&self, dn: &str, new_rdn: &str, new_superior: Option<&str>) -> Result<()> {
        self.admin().rename(dn, new_rdn, new_superior).await
    }

    /// Replaces all values of an attribute.
    pub async fn replace(&self, dn: &str, attribute: &str, values: &[&str]) -> Result<()> {
        self.admin().replace(dn, attribute, values).await
    }

    /// Gives the reader a new password.
    pub async fn set_reader_password(&self, password: &str) -> Result<()> {
        self.replace(&Self::reader_dn(), "userPassword", &[password]).await
    }

    /// Sets or lifts the size limit of the running server, and of later restarts.
    pub async fn set_size_limit(&mut self, limit: Option<u32>) -> Result<()> {
        self.options.size_limit = limit;
        self.write_configuration()?;
        let value = size_limit(limit);
        let change = format!(
            "dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nreplace: olcSizeLimit\nolcSizeLimit: {value}\n"
        );
        self.admin().bound_as("cn=config", ADMIN_PASSWORD).apply(change).await
    }

    /// Replaces the rules of access, `to … by …` each.
    pub async fn set_access(&self, rules: &[&str]) -> Result<()> {
        let rules: Vec<String> = rules.iter().map(|rule| format!("olcAccess: {rule}\n")).collect();
        let rules = rules.concat();
        let change = format!("dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\n{rules}");
        self.admin().bound_as("cn=config", ADMIN_PASSWORD).apply(change).await
    }

    /// What the directory holds: all entries that match, with their user attributes and `entryUUID`. Read by
    /// OpenLDAP's own client, so that nothing of ours judges ours.
    pub async fn entries(&self, filter: &str) -> Result<Vec<Entry>> {
        self.admin().entries(SUFFIX, filter, &["*", "entryUUID"]).await
    }

    /// One entry with its operational attributes.
    pub async fn operational(&self, dn: &str) -> Result<Entry> {
        self.admin().operational(dn).await
    }

    /// Adds entries with operational attributes such as `entryUUID`, as the restore of a backup would.
    pub async fn restore(&self, ldif: impl Into<Vec<u8>>) -> Result<()> {
        let modify = self.admin().program("ldapmodify").args(["-a", "-e", "relax"]);
        modify.input(ldif).success().await?;
        Ok(())
    }

    /// All people.
    pub async fn users(&self) -> Result<Vec<Entry>> {
        self.entries("(objectClass=inetOrgPerson)").await
    }

    /// All groups.
    pub async fn groups(&self) -> Result<Vec<Entry>> {
        self.entries("(objectClass=groupOfNames)").await
    }

    /// Binds with a password, as the user would; whether the server accepts it.
    pub async fn binds(&self, dn: &str, password: &str) -> Result<bool> {
        let user = self.admin().bound_as(dn, password);
        Ok(user.program("ldapwhoami").output().await?.status.success())
    }

    fn admin(&self) -> LdapClient {
        LdapClient::new(&self.ldap_url(), &Self::admin_dn(), ADMIN_PASSWORD)
    }

    fn write_configuration(&self) -> Result<()> {
        let path = self.folder.join("slapd.conf");
        write_private(&path, self.configuration().as_bytes())
    }

    fn configuration(&self) -> String {
        let folder = self.folder.display();
        let schemas: String = ["core", "cosine", "nis", "inetorgperson"]
            .map(|schema| format!("include /etc/ldap/schema/{schema}.schema\n"))
            .concat();
        let modules: String = ["back_mdb", "memberof", "refint", "syncprov", "ppolicy", "unique"]
            .map(|module| format!("moduleload {module}\n"))
            .concat();
        let policy = if self.options.password_policy {
            format!("overlay ppolicy\nppolicy_default \"cn=policy,{SUFFIX}\"\n")
        } else {
            String::new()
        };
        let overlays = if self.options.overlays {
            "overlay memberof\noverlay refint\nrefint_attributes member manager\noverlay syncprov\n"
        } else {
            ""
        };
        // Sparse: room for a million people, of which only what is used takes space.
        let max_size: u64 = 16 << 30;
        format!(
            "{schemas}modulepath /usr/lib/ldap\n{modules}\
             pidfile {folder}/slapd.pid\nidletimeout {idle}\n\
             TLSCACertificateFile {folder}/ca.pem\nTLSCertificateFile {folder}/server.pem\n\
             TLSCertificateKeyFile {folder}/server.key\nTLSVerifyClient try\n\
             database config\nrootdn cn=config\nrootpw \"{ADMIN_PASSWORD}\"\n\
             database mdb\nsuffix \"{SUFFIX}\"\nrootdn \"{admin}\"\nrootpw \"{ADMIN_PASSWORD}\"\n\
             directory {folder}/database\nmaxsize {max_size}\ndbnosync\nsizelimit {limit}\n\
             index objectClass eq\nindex uid,mail,cn,entryUUID,member,memberUid eq\n\
             {access}access to attrs=userPassword by anonymous auth by * none\n\
             access to * by users read by * none\n{limits}{overlays}{policy}",
            access = self.options.access_lines,
            limits = self.options.database_lines,
            admin = Self::admin_dn(),
            limit = size_limit(self.options.size_limit),
            // slapd.conf(5): 0 is for ever.
            idle = self.options.idle_timeout.map_or(0, |idle| idle.as_secs()),
        )
    }

    /// Loads the population offline by slapadd, streaming: a million entries never are in memory or on disk as LDIF.
    async fn load(&self) -> Result<()> {
        let options = self.options.clone();
        let configuration = self.folder.join("slapd.conf");
        tokio::task::spawn_blocking(move || load_offline(&configuration, &options)).await?
    }

    async fn run(&mut self, stage: &Stage) -> Result<()> {
        let listen = format!("{} ldaps://127.0.0.1:{}", self.ldap_url(), self.tls_port.number());
        // slapd.conf(5), loglevel: 256 is "connections, operations, results".
        let level = if self.options.statements { "256" } else { "0" };
        let slapd = Launch::new("slapd", "/usr/sbin/slapd").args(["-d", level, "-h", &listen, "-f"]);
        let mut process = slapd.arg(self.folder.join("slapd.conf")).start(stage)?;
        let address = self.tls_port.address();
        // The client tool costs a fork a try: first wait for the listener alone.
        wait::until_true("slapd listens", wait::SOON, || async {
            Ok(tokio::net::TcpStream::connect(address).await.is_ok())
        })
        .await
        .or_else(|error| process.must_run().and(Err(error)))?;
        self.process = Some(process);
        wait::until_true("slapd answers", wait::SOON, || async {
            self.admin().program("ldapwhoami").success().await.map(|_| true)
        })
        .await
    }
}

fn size_limit(limit: Option<u32>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

/// Five refused binds lock an account.
const POLICY: &str = "dn: cn=policy,dc=corp,dc=example\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\n\
    pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: 5\npwdLockoutDuration: 0\n\n";

fn load_offline(configuration: &Path, options: &Options) -> Result<()> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut slapadd = Command::new("/usr/sbin/slapadd");
    slapadd.args(["-q", "-f"]).arg(configuration).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = slapadd.spawn().context("cannot start slapadd")?;
    let mut input = child.stdin.take().context("slapadd has no standard input")?;
    let fed = write!(
        input,
        "dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Corp\ndc: corp\n\n\
         dn: {reader}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: reader\n\
         userPassword: {READER_PASSWORD}\n\n",
        reader = Slapd::reader_dn()
    )
    .and_then(|()| if options.password_policy { input.write_all(POLICY.as_bytes()) } else { Ok(()) })
    .and_then(|()| options.population.write_ldif(SUFFIX, &mut input))
    .and_then(|()| input.write_all(options.extra_ldif.as_bytes()));
    drop(input);
    let output = child.wait_with_output().context("cannot wait for slapadd")?;
    ensure!(output.status.success(), "slapadd: {}", String::from_utf8_lossy(&output.stderr));
    fed.context("slapadd did not take the entries")
}

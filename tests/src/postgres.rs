//! A real `PostgreSQL` server in a temporary folder, on a free loopback port.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::certificates::Identity;
use crate::install::{self, Server};
use crate::kept;
use crate::ports::Port;
use crate::postgres_programs;
use crate::process::{Launch, Process, Signal};
use crate::stage::Stage;
use crate::wait;

/// The server refuses to run as root: then it runs as the user that Debian's package made.
const USER: &str = "postgres";

/// A real `PostgreSQL` server; killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    programs: PathBuf,
    folder: PathBuf,
    port: Port,
    databases: AtomicU32,
    durable: bool,
    tls: bool,
}

/// An empty cluster, which takes longer to make than most tests.
async fn kept_cluster(stage: &Stage, programs: &Path) -> Result<PathBuf> {
    let version = programs.parent().and_then(Path::file_name).context("no version")?.to_string_lossy();
    kept::folder(&format!("postgres-{version}-1"), async |unfinished| {
        // The server's user may not reach the folder in which it is kept.
        let folder = stage.folder("postgres-cluster")?;
        if rustix::process::getuid().is_root() {
            Launch::new("chown", "chown").arg(USER).arg(&folder).success().await?;
        }
        let data = folder.join("data");
        let initdb = Launch::new("initdb", programs.join("initdb")).user(USER).arg("-D").arg(&data);
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]).success().await?;
        kept::copy(&data, unfinished).await
    })
    .await
}

impl Postgres {
    /// Installs the server where it is missing, creates a cluster, and waits until it answers.
    pub async fn start(stage: &Stage) -> Result<Self> {
        Self::start_as(stage, false).await
    }

    /// As [`Postgres::start`], with writes that survive a power cut: for benchmarks.
    pub async fn start_durable(stage: &Stage) -> Result<Self> {
        Self::start_as(stage, true).await
    }

    async fn start_as(stage: &Stage, durable: bool) -> Result<Self> {
        install::ensure(&[Server::Postgres]).await?;
        let programs = postgres_programs::folder().context("no PostgreSQL below /usr/lib/postgresql")?;
        let folder = stage.folder("postgres")?;
        if rustix::process::getuid().is_root() {
            Launch::new("chown", "chown").arg(USER).arg(&folder).success().await?;
        }
        let cluster = kept_cluster(stage, &programs).await?;
        kept::copy(&cluster, &folder.join("data")).await?;
        let (port, databases) = (Port::free()?, AtomicU32::new(0));
        let mut postgres = Self { process: None, programs, folder, port, databases, durable, tls: false };
        postgres.run(stage).await?;
        Ok(postgres)
    }

    /// Creates an empty database and returns its URL.
    pub async fn fresh_database(&self) -> Result<String> {
        let name = format!("postern_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(USER, &format!("CREATE DATABASE {name}")).await?;
        Ok(format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port.number()))
    }

    /// Starts it again, now offering TLS with this certificate.
    pub async fn offer_tls(&mut self, stage: &Stage, identity: &Identity) -> Result<()> {
        identity.write(&self.folder, "server")?;
        if rustix::process::getuid().is_root() {
            Launch::new("chown", "chown").arg(USER).arg(self.folder.join("server.key")).success().await?;
        }
        self.tls = true;
        self.restart(stage).await
    }

    /// Makes a user who must give this password, and starts the server again.
    pub async fn guarded_user(&mut self, stage: &Stage, name: &str, password: &str) -> Result<()> {
        self.sql(USER, &format!("CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{password}'")).await?;
        let rules = format!("host all {name} all scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
        std::fs::write(self.folder.join("data").join("pg_hba.conf"), rules).context("cannot write pg_hba.conf")?;
        self.restart(stage).await
    }

    /// Runs a statement in a database and returns its rows, unaligned, without headers.
    pub async fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let psql = Launch::new("psql", self.programs.join("psql"));
        let psql = psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER]);
        psql.args(["-p", &self.port.number().to_string(), "-d", database, "-c", statement]).success().await
    }

    /// The server's process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills the server and all its connections at once.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // Immediate shutdown: the backends, which are process groups of their own, go with it.
        process.signal(Signal::QUIT)?;
        process.wait(wait::SOON).await?;
        Ok(())
    }

    /// Kills the server where it runs, and starts it again on the same port.
    pub async fn restart(&mut self, stage: &Stage) -> Result<()> {
        self.kill().await?;
        self.run(stage).await
    }

    async fn run(&mut self, stage: &Stage) -> Result<()> {
        let data = self.folder.join("data");
        let mut launch = Launch::new("postgres", self.programs.join("postgres")).user(USER).arg("-D").arg(&data);
        launch = launch.args(["-h", "127.0.0.1", "-p", &self.port.number().to_string(), "-k", ""]);
        // Immediate shutdown, so that neither shared memory nor an orphaned backend stays.
        launch = launch.dropped_by(Signal::QUIT);
        if !self.durable {
            launch = launch.args(["-c", "fsync=off"]);
        }
        if self.tls {
            let file = |name: &str, setting: &str| format!("{setting}={}", self.folder.join(name).display());
            let (certificate, key) = (file("server.pem", "ssl_cert_file"), file("server.key", "ssl_key_file"));
            launch = launch.args(["-c", "ssl=on", "-c", &certificate, "-c", &key]);
        }
        let mut process = launch.args(["-c", "max_connections=200"]).start(stage)?;
        let answered = wait::until_true("PostgreSQL answers", wait::SOON, || async {
            // The pid file's last line says when it is ready; asking by psql would cost a fork a try.
            let pid_file = std::fs::read_to_string(data.join("postmaster.pid"))?;
            Ok(pid_file.lines().any(|line| line.trim() == "ready"))
        });
        answered.await.or_else(|error| process.must_run().and(Err(error)))?;
        self.process = Some(process);
        Ok(())
    }

    /// Folder with the cluster's data.
    pub fn data_folder(&self) -> &Path {
        &self.folder
    }
}

//! A `PostgreSQL` server for tests: in a temporary folder, on a free loopback port, stopped with its owner.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use postern_store::{DatabaseUrl, Store};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running server. Killed when dropped, and by the kernel when the test process dies.
pub(crate) struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
    databases: AtomicU32,
    has_pristine: AtomicBool,
}

impl Server {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        assert!(
            Path::new(PROGRAMS).join("postgres").exists(),
            "these tests need PostgreSQL 15 in {PROGRAMS}: apt-get install postgresql-15"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        if let Some((uid, gid)) = service_user() {
            chown(folder.path(), Some(uid), Some(gid)).expect("the server's user owns the folder");
        }
        copy_cluster(&kept_cluster(), &data);
        let port = free_port();
        let server = Self {
            process: run(&data, folder.path(), port),
            port,
            folder,
            databases: AtomicU32::new(0),
            has_pristine: AtomicBool::new(false),
        };
        server.ready().await;
        server
    }

    /// A new database.
    pub(crate) async fn fresh_database(&self) -> DatabaseUrl {
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&format!("CREATE DATABASE {name}")).await;
        DatabaseUrl::parse(&self.url(&name)).expect("a well-formed URL")
    }

    /// A new database that has the tables already: a copy of one that was opened once.
    pub(crate) async fn database_with_tables(&self) -> DatabaseUrl {
        if !self.has_pristine.swap(true, Ordering::Relaxed) {
            self.create("CREATE DATABASE pristine").await;
            let url = DatabaseUrl::parse(&self.url("pristine")).expect("a well-formed URL");
            Store::open(&url).await.expect("the tables are made").close().await;
        }
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&format!("CREATE DATABASE {name} TEMPLATE pristine")).await;
        DatabaseUrl::parse(&self.url(&name)).expect("a well-formed URL")
    }

    async fn create(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the server answers");
        connection.execute(AssertSqlSafe(statement.to_owned())).await.expect("a database is made");
    }

    /// The URL of the newest database.
    pub(crate) fn newest_url(&self) -> String {
        self.url(&format!("story_{}", self.databases.load(Ordering::Relaxed) - 1))
    }

    /// A new database that logs the plan of every statement it runs.
    pub(crate) async fn explaining_database(&self) -> DatabaseUrl {
        let url = self.fresh_database().await;
        let name = format!("story_{}", self.databases.load(Ordering::Relaxed) - 1);
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the server answers");
        for setting in ["session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0"] {
            let alter = AssertSqlSafe(format!("ALTER DATABASE {name} SET {setting}"));
            connection.execute(alter).await.expect("a setting is made");
        }
        url
    }

    /// Everything that the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a statement on the newest database.
    pub(crate) async fn run(&self, statement: &'static str) {
        let name = format!("story_{}", self.databases.load(Ordering::Relaxed) - 1);
        let mut connection = PgConnection::connect(&self.url(&name)).await.expect("the server answers");
        connection.execute(statement).await.expect("it is carried out");
    }

    /// Updates the statistics of the newest database, as it does by itself after a while.
    pub(crate) async fn analyze(&self) {
        self.run("ANALYZE").await;
    }

    /// Stops the server at once, and starts it again on the same data.
    pub(crate) async fn restart(&mut self, meanwhile: impl AsyncFnOnce()) {
        self.quit();
        meanwhile().await;
        self.process = run(&self.folder.path().join("data"), self.folder.path(), self.port);
        self.ready().await;
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    async fn ready(&self) {
        let url = self.url("postgres");
        let connected = async {
            while PgConnection::connect(&url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, connected).await.unwrap_or_else(|_| panic!("no server: {}", self.log()));
    }

    /// "Immediate shutdown" (PostgreSQL 19.5): disconnects at once, and recovers at the next start.
    fn quit(&mut self) {
        if let Some(process) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ = kill_process(process, Signal::QUIT);
        }
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.quit();
    }
}

/// An empty cluster that is made once and copied by every test: making one takes longer than most stories.
fn kept_cluster() -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // One for each user: a cluster is its owner's alone.
    let owner = fs::metadata("/proc/self").expect("this process").uid();
    let (cluster, lock) = (kept.join(format!("postgres-{owner}")), kept.join(format!("postgres-{owner}.lock")));
    let lock = fs::File::create(lock).expect("a lock");
    lock.lock().expect("no other test makes it");
    if !cluster.exists() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some((uid, gid)) = service_user() {
            chown(folder.path(), Some(uid), Some(gid)).expect("the server's user owns the folder");
        }
        let made = program("initdb")
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--wal-segsize=1", "--pgdata"])
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let unfinished = kept.join(format!("postgres-{owner}.unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        copy_cluster(&folder.path().join("data"), &unfinished);
        fs::rename(&unfinished, &cluster).expect("the cluster is kept");
    }
    cluster
}

/// Copies a cluster with owners and modes.
fn copy_cluster(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "{} is copied to {}", from.display(), to.display());
}

fn run(data: &Path, folder: &Path, port: u16) -> Child {
    let log = fs::File::options().append(true).create(true).open(folder.join("log")).expect("a log file");
    program("postgres")
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-c", "max_connections=200", "-c"])
        .arg(format!("unix_socket_directories={}", folder.display()))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}

/// A program of the server; it refuses to be run by root.
fn program(name: &str) -> Command {
    let path: PathBuf = Path::new(PROGRAMS).join(name);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if service_user().is_some() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(path).current_dir("/");
    command
}

/// The ids of the user `postgres`, when we are root.
fn service_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    socket.local_addr().expect("an address").port()
}

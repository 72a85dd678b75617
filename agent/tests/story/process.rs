//! The program itself: its commands, signals and exit codes.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::Ordering;

use postern_agent::status::Status;
use postern_proto::v1::LookupUser;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::command::Kind as Down;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::gateway::{FakeGateway, within};
use crate::pki::{Life, WEEK};

const DIRECTORY: &str = r#"
[[directory]]
name = "NAME"
urls = ["ldap://127.0.0.1:1"]
allow_plaintext = true
bind_dn = "cn=reader,dc=corp,dc=example"
bind_password = "s3cret-bind"
[directory.users]
base_dns = ["ou=people,dc=corp,dc=example"]
filter = "(objectClass=inetOrgPerson)"
unique_attribute = "uid"
attributes = ["uid", "cn"]
"#;

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(configuration: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.configure(configuration);
        site
    }

    fn configure(&self, configuration: &str) {
        std::fs::write(self.config(), configuration).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn command(&self, command: &str) -> Command {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_postern-agent"));
        agent.arg(command).arg("--config").arg(self.config()).arg("--state-dir").arg(self.state_dir());
        agent.env_remove("HTTPS_PROXY").env_remove("https_proxy").env_remove("ALL_PROXY").env_remove("RUST_LOG");
        agent.stdin(Stdio::null()).kill_on_drop(true);
        agent
    }

    async fn run(&self, command: &str, args: &[&str]) -> Output {
        within(self.command(command).args(args).output()).await.unwrap()
    }

    async fn enroll(&self, gateway: &FakeGateway) -> Output {
        self.run("enroll", &["--token", &gateway.token().to_string()]).await
    }

    fn start(&self) -> Child {
        let log = std::fs::File::create(self.log()).unwrap();
        self.command("run").stderr(log).spawn().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    async fn until_logged(&self, text: &str) {
        within(async {
            while !std::fs::read_to_string(self.log()).unwrap().contains(text) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    async fn status(&self) -> Status {
        let output = self.run("status", &["--json"]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).unwrap();
    kill_process(pid, signal).unwrap();
}

fn directory(name: &str) -> String {
    DIRECTORY.replace("NAME", name)
}

#[tokio::test]
async fn enrolling_twice_needs_force() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    let first = site.enroll(&gateway).await;
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stdout).contains("Enrolled as agent"));
    let second = site.enroll(&gateway).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("--force"), "{}", text(&second.stderr));
    let forced = site.run("enroll", &["--force", "--token", &gateway.token().to_string()]).await;
    assert!(forced.status.success(), "{}", text(&forced.stderr));
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_shows_before_the_token_is_spent() {
    // Nothing listens there: dialing it would give another error.
    let gateway = FakeGateway::start().await;
    let mut token = gateway.token();
    token.address = "127.0.0.1:1".to_owned();
    let site = Site::new("");
    // Not even root makes files there.
    let mut enroll = Command::new(env!("CARGO_BIN_EXE_postern-agent"));
    enroll.args(["enroll", "--state-dir", "/sys", "--token", &token.to_string(), "--config"]).arg(site.config());
    let refused = within(enroll.output()).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("cannot store this agent's identity"), "{said}");
}

#[tokio::test]
async fn the_program_runs_answers_reloads_and_stops() {
    let mut gateway = FakeGateway::start().await;
    let site = Site::new(&format!("[health]\nlisten = \"127.0.0.1:0\"\n{}", directory("corp")));
    // The port is chosen by the system, and logged nowhere: ask for one that is free now.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    site.configure(&format!("[health]\nlisten = \"127.0.0.1:{port}\"\n{}", directory("corp")));
    assert!(site.enroll(&gateway).await.status.success());
    let mut running = site.start();
    let mut session = gateway.session().await;
    assert_eq!(session.hello.directories[0].name, "corp");

    site.until_logged("session.established").await;
    let status = site.status().await;
    assert_eq!((status.session.state.as_str(), status.process_id), ("connected", running.id().unwrap()));
    assert!(get(port, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(port, "/metrics").await.contains("postern_agent_connected 1"));

    site.configure("[[directory]]\nnme = \"typo\"\n");
    signal(&running, Signal::HUP);
    site.until_logged("config.reload_refused").await;
    assert!(std::fs::read_to_string(site.log()).unwrap().contains("did you mean `name`?"));
    site.configure(&directory("other"));
    signal(&running, Signal::HUP);
    let Up::DirectoriesChanged(changed) = session.next().await else { panic!("not a change of directories") };
    assert_eq!(changed.directories[0].name, "other");

    let second = site.run("run", &[]).await;
    assert_eq!(second.status.code(), Some(1), "one agent a state directory");

    signal(&running, Signal::TERM);
    session.ended().await;
    drop(session);
    assert!(within(running.wait()).await.unwrap().success());
    let log = std::fs::read_to_string(site.log()).unwrap();
    assert!(!log.contains("s3cret-bind") && !log.contains("PRIVATE KEY"), "{log}");
    assert!(!site.run("status", &[]).await.status.success());
}

/// What systemd hears, as `sd_notify(3)` has it.
#[tokio::test]
async fn systemd_learns_of_readiness_life_reload_and_stop() {
    let mut gateway = FakeGateway::start().await;
    let site = Site::new(&directory("corp"));
    assert!(site.enroll(&gateway).await.status.success());
    let address = site.folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&address).unwrap();
    let mut running = site.command("run");
    running.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "30000").env_remove("WATCHDOG_PID");
    let log = std::fs::File::create(site.log()).unwrap();
    let mut running = running.stderr(log).spawn().unwrap();
    let heard = async |wanted: &str| {
        within(async {
            let mut buffer = [0; 256];
            loop {
                let length = socket.recv(&mut buffer).await.unwrap();
                let said = text(&buffer[..length]);
                if said.lines().any(|line| line == wanted) {
                    return;
                }
                assert_eq!(said.trim(), "WATCHDOG=1", "before {wanted}");
            }
        })
        .await;
    };
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    let session = gateway.session().await;
    heard("WATCHDOG=1").await;
    signal(&running, Signal::HUP);
    heard("RELOADING=1").await;
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    signal(&running, Signal::TERM);
    heard("STOPPING=1").await;
    drop(session);
    assert!(within(running.wait()).await.unwrap().success());
}

async fn get(port: u16, path: &str) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(connection.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_bad_configuration_has_its_own_exit_code() {
    let site = Site::new("[control_plane]\nproxi = \"http://proxy:3128\"\n");
    for command in ["run", "enroll"] {
        let args: &[&str] = if command == "enroll" { &["--token", "postern1.x"] } else { &[] };
        let output = site.run(command, args).await;
        assert_eq!(output.status.code(), Some(64), "{command}");
        let said = text(&output.stderr);
        assert!(said.contains("agent.toml:2: unknown key `proxi`; did you mean `proxy`?"), "{command}: {said}");
    }
    // The agent may still run on the former file, so the state directory is given.
    let asked = site.run("status", &[]).await;
    assert_eq!(asked.status.code(), Some(1), "nobody runs here");
    assert!(!text(&asked.stderr).contains("proxi"), "{}", text(&asked.stderr));
    let check = site.run("check", &[]).await;
    assert_eq!(check.status.code(), Some(1));
}

#[tokio::test]
async fn running_without_an_identity_says_how_to_get_one() {
    let site = Site::new("");
    let output = site.run("run", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("postern-agent enroll --token"), "{}", text(&output.stderr));
}

/// Name, state and cure of every row.
async fn check(site: &Site) -> (Option<i32>, Vec<(String, String, Option<String>)>) {
    let output = site.run("check", &["--json"]).await;
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let field = |row: &serde_json::Value, name: &str| row.get(name).map(|it| it.as_str().unwrap().to_owned());
    let row = |row| (field(row, "name").unwrap(), field(row, "state").unwrap(), field(row, "cure"));
    (output.status.code(), rows.iter().map(row).collect())
}

#[tokio::test]
async fn check_finds_nothing_where_nothing_is_wrong() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    let (code, rows) = check(&site).await;
    let failed: Vec<_> = rows.iter().filter(|(_, state, _)| state == "failed").collect();
    assert!(failed.is_empty() && code == Some(0), "{rows:?}");
    let names: Vec<&str> = rows.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["configuration", "enrollment", "certificate", "dns", "tcp", "tls", "control_plane", "clock"]);
}

#[tokio::test]
async fn check_names_what_is_wrong_with_a_cure_for_each() {
    let gateway = FakeGateway::start().await;
    let site = Site::new(&directory("corp"));
    let (code, rows) = check(&site).await;
    assert_eq!(code, Some(1));
    let own: Vec<(&str, &str)> = rows.iter().take(8).map(|(name, state, _)| (name.as_str(), state.as_str())).collect();
    let skipped = ["certificate", "dns", "tcp", "tls", "control_plane", "clock"].map(|name| (name, "skipped"));
    assert_eq!(own[..2], [("configuration", "passed"), ("enrollment", "failed")]);
    assert_eq!(own[2..], skipped, "skipped checks are reported too");

    *gateway.shared.life.lock().unwrap() = Life { since: -600, until: 86_400 };
    assert!(site.enroll(&gateway).await.status.success());
    // Another gateway at the same address: as if something between intercepted TLS.
    gateway.replace_authority();
    let (code, rows) = check(&site).await;
    assert_eq!(code, Some(1));
    for (name, state, cure) in &rows {
        assert!(state != "failed" || cure.is_some(), "{name} has no cure");
    }
    let failed: Vec<&str> = rows.iter().filter(|row| row.1 == "failed").map(|row| row.0.as_str()).collect();
    assert!(failed.contains(&"certificate") && failed.contains(&"tls"), "{rows:?}");
    let output = site.run("check", &[]).await;
    let lines = text(&output.stdout);
    assert!(lines.contains("UnknownIssuer") || lines.contains("issued by \"CN=Test CA\""), "{lines}");
    *gateway.shared.life.lock().unwrap() = WEEK;
}

#[tokio::test]
async fn check_tells_a_control_plane_that_is_down_from_a_firewall() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    let _nobody = gateway.stop().await;
    let (code, rows) = check(&site).await;
    assert_eq!(code, Some(1));
    let failed: Vec<_> = rows.iter().filter(|row| row.1 == "failed").collect();
    let [(name, _, Some(cure))] = failed.as_slice() else { panic!("{rows:?}") };
    assert!(name == "tcp" && cure.contains("nothing listens there"), "{rows:?}");
}

#[tokio::test]
async fn check_tries_the_directories_beside_one_that_cannot_be_used() {
    let bad = directory("bad").replace("ldap://", "http://");
    let site = Site::new(&format!("{bad}{}", directory("corp")));
    let output = site.run("check", &[]).await;
    let lines = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    for said in
        ["1 of 2 directories cannot be used", "bad: configuration", "neither ldaps:// nor ldap://", "corp: connect"]
    {
        assert!(lines.contains(said), "{said}: {lines}");
    }
}

#[tokio::test]
async fn check_of_a_revoked_agent_fails_in_enrollment() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    gateway.shared.revoked.store(true, Ordering::Relaxed);
    let (code, rows) = check(&site).await;
    assert_eq!(code, Some(1));
    let failed: Vec<_> = rows.iter().filter(|row| row.1 == "failed").collect();
    let [(name, _, Some(cure))] = failed.as_slice() else { panic!("{rows:?}") };
    assert!(name == "enrollment" && cure.contains("postern-agent enroll --token TOKEN --force"), "{rows:?}");
}

#[tokio::test]
async fn an_expired_control_plane_certificate_is_reported_with_dates() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    gateway.expire();
    let output = site.run("check", &[]).await;
    let lines = text(&output.stdout);
    let tls = lines.lines().find(|line| line.contains(" tls ")).unwrap();
    assert!(tls.contains("Expired") && tls.contains("until 2020-01-02T00:00:00Z"), "{tls}");
    assert!(!tls.contains("UNIX"), "{tls}");
}

/// Runs a command whose output nobody reads.
async fn run_unread(site: &Site, command: &str, args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = site.command(command).args(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    within(child.wait_with_output()).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let mut gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    let _running = site.start();
    let _session = gateway.session().await;
    site.until_logged("session.established").await;
    for command in ["check", "status"] {
        for args in [&[][..], &["--json"]] {
            let output = run_unread(&site, command, args).await;
            assert_eq!(text(&output.stderr), "", "{command} {args:?}");
            assert_eq!(output.status.code(), Some(0), "{command} {args:?}");
        }
    }
}

#[tokio::test]
async fn a_failed_lookup_is_logged_once_and_whole() {
    let mut gateway = FakeGateway::start().await;
    let site = Site::new(&directory("corp"));
    assert!(site.enroll(&gateway).await.status.success());
    let _running = site.start();
    let mut session = gateway.session().await;
    let lookup = LookupUser { unique_value: "jdoe".to_owned() };
    session.command(7, 1, Some(Down::LookupUser(lookup))).await;
    let outcome = session.outcome().await;
    assert!(!format!("{outcome:?}").contains("127.0.0.1:1"), "servers stay at the site: {outcome:?}");
    site.until_logged("command.failed").await;
    let log = std::fs::read_to_string(site.log()).unwrap();
    // The flavour is asked for too, by another task.
    let of_the_command = |line: &&str| {
        line.contains("WARN") && line.contains("127.0.0.1:1") && !line.contains("directory.flavour_unknown")
    };
    let failures: Vec<&str> = log.lines().filter(of_the_command).collect();
    let [failure] = failures.as_slice() else { panic!("{log}") };
    assert!(failure.contains("ldap://127.0.0.1:1"), "{failure}");
}

#[tokio::test]
async fn a_state_directory_that_others_can_read_is_refused() {
    let gateway = FakeGateway::start().await;
    let site = Site::new("");
    assert!(site.enroll(&gateway).await.status.success());
    let file = site.state_dir().join("identity.json");
    expose(&file);
    let output = site.run("run", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("chmod 600"), "{}", text(&output.stderr));
}

fn expose(file: &Path) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(file, permissions).unwrap();
}

//! The harness itself: each real server starts, does what it is there for, survives a kill, and leaves nothing behind.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use postern_tests::ds389::{self, Ds389, Plugin};
use postern_tests::ldif::Entry;
use postern_tests::people::{self, Person, Population};
use postern_tests::postgres::Postgres;
use postern_tests::process::Launch;
use postern_tests::relay::{Fault, Relay};
use postern_tests::samba::{self, Samba};
use postern_tests::slapd::{self, Slapd};
use postern_tests::squid::Squid;
use postern_tests::{scenario, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn slapd_holds_the_population_through_changes_and_a_kill() -> Result<()> {
    scenario(async |stage| {
        let mut slapd = Slapd::start(stage, slapd::Options::people(100)).await?;
        ensure!(slapd.users().await?.len() == 100);
        ensure!(slapd.groups().await?.len() == Population::of(100).groups() as usize);
        let person = Person::nth(5);
        slapd.rename(&person.dn(slapd::SUFFIX), "uid=renamed", None).await?;
        slapd.delete(&Person::nth(6).dn(slapd::SUFFIX)).await?;
        slapd.set_reader_password("another").await?;
        slapd.set_size_limit(Some(10)).await?;
        slapd.restart(stage).await?;
        let users = slapd.users().await?;
        ensure!(users.len() == 99, "{} users", users.len());
        ensure!(users.iter().any(|user| user.dn.starts_with("uid=renamed,") && !user.text("entryUUID").is_empty()));
        Ok(())
    })
}

#[test]
fn ds389_holds_the_population_through_changes_a_load_and_a_kill() -> Result<()> {
    scenario(async |stage| {
        let options = ds389::Options {
            plugins: vec![Plugin::MemberOf, Plugin::AccountPolicy, Plugin::Usn],
            branch_ldif: Some(String::new()),
            ..ds389::Options::people(100)
        };
        let mut server = Ds389::start(stage, options).await?;
        ensure!(server.users().await?.len() == 100);
        ensure!(server.groups().await?.len() == Population::of(100).groups() as usize);
        server.rename(&Person::nth(5).dn(ds389::SUFFIX), "uid=renamed", None).await?;
        server.delete(&Person::nth(6).dn(ds389::SUFFIX)).await?;
        let reader = server.admin().bound_as(&Ds389::reader_dn(), ds389::READER_PASSWORD);
        ensure!(reader.entries(&Ds389::branch_dn(), "(objectClass=*)", &["ou"]).await?.len() == 1);
        server.set_online(&Ds389::branch_dn(), false).await?;
        ensure!(reader.entries(&Ds389::branch_dn(), "(objectClass=*)", &["ou"]).await.is_err());
        server.set_online(&Ds389::branch_dn(), true).await?;
        let before = server.users().await?;
        let dump = server.dump().await?;
        let load = server.start_load(&dump).await?;
        server.task_ended(&load).await?;
        server
            .set_acis(&[Ds389::reading("all", "targetattr = \"*\""), Ds389::hiding("mail", "targetattr = \"mail\"")])
            .await?;
        server.kill().await?;
        server.restart(stage).await?;
        let after = server.users().await?;
        let ids = |users: &[Entry]| users.iter().map(|user| user.text("nsUniqueId")).collect::<BTreeSet<_>>();
        ensure!(after.len() == 99 && ids(&before) == ids(&after), "{} users", after.len());
        let seen = reader.entries(ds389::SUFFIX, "(uid=renamed)", &["mail", "sn"]).await?;
        ensure!(seen.len() == 1 && seen[0].values("mail").is_empty() && !seen[0].values("sn").is_empty(), "{seen:?}");
        Ok(())
    })
}

#[test]
fn samba_is_an_active_directory_with_a_large_group() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let groups = samba.entries("(objectClass=group)", &["member", "objectGUID"]).await?;
        ensure!(groups.len() == 2, "{} groups", groups.len());
        let largest = groups.iter().map(|group| group.values("member").len()).max();
        ensure!(largest == Some(samba::LARGE_GROUP as usize), "{largest:?} members");
        Ok(())
    })
}

#[test]
fn postgres_survives_a_kill() -> Result<()> {
    scenario(async |stage| {
        let mut postgres = Postgres::start(stage).await?;
        let url = postgres.fresh_database().await?;
        let name = url.rsplit('/').next().unwrap_or_default();
        postgres.sql(name, "CREATE TABLE t (n int)").await?;
        postgres.sql(name, "INSERT INTO t VALUES (7)").await?;
        postgres.restart(stage).await?;
        ensure!(postgres.sql(name, "SELECT n FROM t").await?.trim() == "7");
        Ok(())
    })
}

#[test]
fn squid_asks_for_a_password_and_then_tunnels() -> Result<()> {
    scenario(async |stage| {
        let squid = Squid::start(stage).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = listener.local_addr()?;
        let connect = async |credentials: &str| -> Result<String> {
            let mut stream = TcpStream::connect(squid.url_with("").trim_start_matches("http://")).await?;
            let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        ensure!(connect("").await? == "HTTP/1.1 407");
        // gateway:open sesame
        let right = "Proxy-Authorization: Basic Z2F0ZXdheTpvcGVuIHNlc2FtZQ==\r\n";
        ensure!(connect(right).await? == "HTTP/1.1 200");
        Ok(())
    })
}

#[test]
fn relay_cuts_and_holds_where_planned() -> Result<()> {
    scenario(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = Relay::start(listener.local_addr()?).await?;
        let mut client = TcpStream::connect(relay.address()).await?;
        let (mut server, _) = listener.accept().await?;
        client.write_all(b"0123456789").await?;
        let mut ten = [0; 10];
        server.read_exact(&mut ten).await?;
        relay.hold();
        client.write_all(b"x").await?;
        let passed = tokio::time::timeout(std::time::Duration::from_millis(50), server.read_u8()).await;
        ensure!(passed.is_err(), "a held line let something pass");
        relay.resume();
        ensure!(server.read_u8().await? == b'x');
        relay.plan([(5, Fault::Cut)]);
        client.write_all(b"abcdefgh").await?;
        ensure!(server.read(&mut ten).await.is_err(), "a cut line must be reset");
        wait::until_true("the relay forgets it", wait::SOON, || async { Ok(relay.connections() == 0) }).await?;
        ensure!(relay.faults_to_come() == 0);
        Ok(())
    })
}

#[test]
fn a_scenario_that_fails_leaves_nothing_behind() -> Result<()> {
    let mut pid = 0;
    let mut folder = std::path::PathBuf::new();
    let outcome = scenario(async |stage| {
        let sleeper = Launch::new("sleeper", "/bin/sleep").arg("600").start(stage)?;
        pid = sleeper.pid();
        folder = stage.path().to_owned();
        anyhow::bail!("on purpose")
    });
    ensure!(outcome.is_err());
    let kept = std::env::var_os("POSTERN_TESTS_KEEP").is_some();
    ensure!(folder.exists() == kept && !std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[test]
fn a_million_people_cost_no_memory_to_write() -> Result<()> {
    /// Counts what is written and keeps nothing.
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    Population::of(20_000).write_ldif("dc=corp,dc=example", &mut count)?;
    ensure!(count.0 > 20_000 * 400, "{} bytes", count.0);
    ensure!(people::USER_ATTRIBUTES.len() == 12);
    Ok(())
}

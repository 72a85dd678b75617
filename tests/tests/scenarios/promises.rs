//! Promises of the design that no single fault shows: the configuration stays on the premises, only outbound, secrets
//! are not readable where they need not be.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, ControlPlaneSettings};
use postern_tests::binaries::Binaries;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{ADMIN_PASSWORD, READER_PASSWORD, Slapd};
use postern_tests::squid::Squid;
use postern_tests::{control_plane, scenario, slapd, wait};
use serde_json::json;

/// Whether any file below a folder holds these bytes.
fn held_below(folder: &Path, needle: &str) -> Result<Option<std::path::PathBuf>> {
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let found = if path.is_dir() {
            held_below(&path, needle)?
        } else {
            let bytes = std::fs::read(&path)?;
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes()).then_some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[test]
fn the_ldap_configuration_stays_on_the_premises() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        // Errors, too, must not carry it: a wrong password, then an unreachable server.
        site.settings.directories[0].set_password("wrong password")?;
        site.ldap_line.cut();
        site.api.try_import(DIRECTORY).await?.expect("failed")?;
        site.settings.directories[0].set_password(READER_PASSWORD)?;
        site.slapd.kill().await?;
        let test = site.api.start_job("test_connection", DIRECTORY, json!({})).await?;
        site.api.finished(&test.id, wait::SOON).await?;
        let port = site.ldap_line.address().port();
        let log = site.control_plane.log();
        let secrets = [
            Slapd::reader_dn(),
            READER_PASSWORD.to_owned(),
            "wrong password".to_owned(),
            format!("localhost:{port}"),
            "(objectClass=inetOrgPerson)".to_owned(),
        ];
        for secret in &secrets {
            ensure!(!log.contains(secret), "the control plane's log holds {secret}");
            let file = held_below(site.control_plane.data_dir(), secret)?;
            ensure!(file.is_none(), "{secret} is in {file:?}");
        }
        Ok(())
    })
}

#[test]
fn passwords_never_leave_the_directory_listed_or_not() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(40), options).await?;
        let corp = &mut site.settings.directories[0];
        // The administrator may read userPassword, and somebody lists it.
        corp.bind_dn = Some(Slapd::admin_dn());
        corp.set_password(ADMIN_PASSWORD)?;
        corp.users.attributes.extend(["userPassword".to_owned(), "USERPASSWORD".to_owned()]);
        site.agent.configure(&site.settings)?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await?;
        ensure!(held_below(site.control_plane.data_dir(), "hidden-7")?.is_none(), "a password is in the database");
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        let named = accounts.iter().flat_map(|account| account.attributes.keys());
        ensure!(named.filter(|name| name.to_lowercase().contains("password")).count() == 0);
        Ok(())
    })
}

#[test]
fn the_agent_listens_on_nothing() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 20).await?;
        site.api.import(DIRECTORY).await?;
        let pid = site.agent.process()?.pid();
        let sockets: BTreeSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))?
            .flatten()
            .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
            .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
            .collect();
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}"))?;
            for line in text.lines().skip(1) {
                // proc(5): local address, remote address, state (0A: listening), …, inode as the tenth field.
                let fields: Vec<&str> = line.split_whitespace().collect();
                let mine = fields.get(9).is_some_and(|inode| sockets.contains(*inode));
                let listens = fields.get(3) == Some(&"0A") || table.starts_with("udp");
                ensure!(!(mine && listens), "the agent listens: {table} {line}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_way_out_leads_through_an_authenticating_proxy() -> Result<()> {
    scenario(async |stage| {
        let squid = Squid::start(stage).await?;
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(40), options).await?;
        let token = site.api.enrollment_token().await?;
        for (credentials, url) in [("no", squid.url_with("")), ("wrong", squid.url_with("gateway:wrong@"))] {
            site.settings.control_plane = ControlPlaneSettings { proxy: Some(url), proxy_password_file: None };
            let refused = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
            let output = refused.try_enroll(&token).await?;
            let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
            ensure!(!output.status.success() && said.contains("proxy"), "{credentials} credentials: {said}");
        }
        site.settings.control_plane = ControlPlaneSettings { proxy: Some(squid.url()), proxy_password_file: None };
        site.agent.configure(&site.settings)?;
        site.agent.enroll(&token).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        ensure!(squid.access_log().contains("CONNECT"), "nothing went through the proxy");
        site.compare().await
    })
}

#[test]
fn https_proxy_names_the_way_out_where_the_file_names_none() -> Result<()> {
    scenario(async |stage| {
        let squid = Squid::start(stage).await?;
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(40), options).await?;
        ensure!(site.settings.control_plane.proxy.is_none());
        let token = site.api.enrollment_token().await?;
        // Without the password the proxy lets nobody out, and nothing goes past it.
        site.agent.set_env("HTTPS_PROXY", squid.url_with(""));
        let refused = site.agent.try_enroll(&token).await?;
        let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
        ensure!(!refused.status.success() && said.contains("proxy"), "{said}");
        ensure!(site.line.accepted() == 0, "it went past the proxy");

        site.agent.set_env("HTTPS_PROXY", squid.url());
        // The proxy notes a tunnel when it ends.
        let tunnels = || squid.access_log().matches("TCP_TUNNEL/200").count();
        site.agent.enroll(&token).await?;
        wait::until_true("the enrollment's tunnel", wait::SOON, || async { Ok(tunnels() == 1) }).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        site.agent.terminate().await?;
        wait::until_true("the session's tunnel", wait::SOON, || async { Ok(tunnels() == 2) }).await?;
        ensure!(site.line.accepted() == 2, "{} connections, 2 through the proxy", site.line.accepted());
        site.compare().await
    })
}

#[test]
fn no_proxy_that_covers_the_control_plane_leads_past_the_proxy() -> Result<()> {
    scenario(async |stage| {
        let squid = Squid::start(stage).await?;
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(40), options).await?;
        let token = site.api.enrollment_token().await?;
        // This proxy lets nobody out without a password: who works has gone past it.
        site.agent.set_env("HTTPS_PROXY", squid.url_with(""));
        site.agent.set_env("NO_PROXY", "intranet.corp.example,10.0.0.0/8");
        let refused = site.agent.try_enroll(&token).await?;
        ensure!(!refused.status.success(), "NO_PROXY for other hosts led past the proxy");

        site.agent.set_env("NO_PROXY", "intranet.corp.example, 127.0.0.1");
        site.agent.enroll(&token).await?;
        for covering in ["intranet.corp.example, 127.0.0.1", "127.0.0.0/8", "*"] {
            site.agent.set_env("NO_PROXY", covering);
            site.agent.restart(stage).await?;
            site.api.directory(DIRECTORY).await?;
            site.api.import(DIRECTORY).await.with_context(|| covering.to_owned())?;
            let (passed, report) = site.agent.check().await?;
            ensure!(passed && report.to_string().contains("directly"), "{covering}: {report:#}");
        }
        site.compare().await
    })
}

#[test]
fn every_secret_on_disk_is_hashed_or_private() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let token = site.api.enrollment_token().await?;
        let secret = token.parse::<postern_proto::enrollment_token::EnrollmentToken>()?.secret;
        for (what, text) in [("API token", site.api.token()), ("enrollment token", secret.as_str())] {
            let file = held_below(site.control_plane.data_dir(), text)?;
            ensure!(file.is_none(), "the {what} is readable in {file:?}");
            ensure!(!site.control_plane.log().contains(text), "the {what} is in the log");
        }
        for file in [site.control_plane.data_dir().join("pki/ca.key"), site.agent.state_dir().join("identity.json")] {
            let mode = std::fs::metadata(&file).with_context(|| file.display().to_string())?.permissions().mode();
            ensure!(mode & 0o777 == 0o600, "{} has mode {mode:o}", file.display());
        }
        Ok(())
    })
}

//! What is said when the way out is closed: the true cause, and a cure that can be followed. See docs/failures.md.

use anyhow::{Context as _, Result, ensure};
use postern_runtime::secret::write_private;
use postern_tests::binaries::Binaries;
use postern_tests::failures::way_out;
use postern_tests::process::Launch;
use postern_tests::scenario;
use postern_tests::site::Site;
use postern_tests::squid::{self, Squid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers every connection with the same bytes, after it has read something.
async fn answering(listener: TcpListener, bytes: &'static [u8]) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
    }
}

#[test]
fn what_a_proxy_answers_is_named_with_its_own_cure() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 5).await?;
        let mut squid = Squid::start(stage).await?;
        let tcp = async |site: &mut Site, url: &str| {
            site.settings.control_plane.proxy = Some(url.to_owned());
            site.agent.configure(&site.settings)?;
            way_out(&site.agent, "tcp").await
        };
        let (none, wrong) = (squid.url_with(""), squid.url_with("gateway:wrong@"));
        tcp(&mut site, &squid.url()).await?.must_say("passed", "through the proxy", "")?;
        tcp(&mut site, &none).await?.must_say(
            "failed",
            "asks for a user name and password (407)",
            "proxy_password_file",
        )?;
        tcp(&mut site, &wrong).await?.must_say("failed", "refuses the user name and password (407)", "correct")?;

        // The password in a file is read for each connection: a new one needs no restart.
        let file = stage.path().join("proxy.secret");
        site.settings.control_plane.proxy_password_file = Some(file.clone());
        let user = squid.url_with(&format!("{}@", squid::USER));
        write_private(&file, b"of yesterday")?;
        tcp(&mut site, &user).await?.must_say(
            "failed",
            "refuses the user name and password (407)",
            "proxy_password",
        )?;
        write_private(&file, squid::PASSWORD.as_bytes())?;
        tcp(&mut site, &user).await?.must_say("passed", "through the proxy", "")?;
        site.settings.control_plane.proxy_password_file = None;

        let answers: [(&[u8], &str, &str); 8] = [
            (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "asks for a user name and password (401)", "proxy_password_file"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden", "allow CONNECT"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway", "the proxy cannot reach"),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 Service Unavailable", "the proxy cannot reach"),
            (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "504 Gateway Timeout", "the proxy cannot reach"),
            (b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", "302 Found", "login page"),
            (b"HTTP/1.1 200 OK\r\n\r\n<html>Please log in</html>", "200 and a page", "login page"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP proxy", "host and port"),
        ];
        for (answer, said, cure) in answers {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let url = format!("http://{}", listener.local_addr()?);
            tokio::select! {
                () = answering(listener, answer) => anyhow::bail!("nobody listens"),
                found = tcp(&mut site, &url) => found?.must_say("failed", said, cure)?,
            }
        }

        // The proxy is well, and the control plane is gone.
        site.control_plane.kill().await?;
        site.line.set_target("127.0.0.1:9".parse()?);
        let url = squid.url();
        squid.process().kill().await?;
        let down = tcp(&mut site, &url).await?;
        down.must_say("failed", "cannot connect to the proxy", "nothing answers there")?;
        ensure!(!down.cure.contains("CONNECT"), "{down:?}");
        Ok(())
    })
}

#[test]
fn a_login_page_in_place_of_the_control_plane_is_named() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 5).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        site.line.set_target(listener.local_addr()?);
        let found = tokio::select! {
            () = answering(listener, b"HTTP/1.1 511 Network Authentication Required\r\n\r\n") => anyhow::bail!("nobody listens"),
            found = way_out(&site.agent, "tls") => found?,
        };
        found.must_say("failed", "", "login page").context("the page speaks no TLS")
    })
}

#[test]
fn a_configuration_that_is_missing_is_a_failure() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 5).await?;
        std::fs::remove_file(site.agent.config_file())?;
        let output = site.agent.command("check").output().await?;
        ensure!(!output.status.success(), "{output:?}");
        // Where the file is looked for unless one is named, there is none on a machine of tests.
        if !postern_agent::config::default_file().exists() {
            let check = Launch::new("agent", Binaries::beside_this_program()?.agent).args(["check", "--state-dir"]);
            let output = check.arg(site.agent.state_dir()).output().await?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(!output.status.success() && said.contains("there is no configuration"), "{said}");
        }
        Ok(())
    })
}

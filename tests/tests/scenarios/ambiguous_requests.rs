//! Requests that can be read in two ways, tokens on their way, and what a command line says of what it cuts.

use anyhow::{Context as _, Result, ensure};
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::in_process_agent::{Circumstances, enroll};
use postern_tests::raw_agent::RawAgent;
use postern_tests::{scenario, wait};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The status line and headers of the answer to a request that is sent as it is.
async fn raw(address: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut said = Vec::new();
    tokio::time::timeout(wait::SOON, stream.read_to_end(&mut said)).await.context("no end")?.ok();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let api = control_plane.organization("Corp").await?;
        let address = control_plane.api_address();
        let token = format!("Authorization: Bearer {}\r\n", api.token());
        let host = format!("Host: {address}\r\n");
        for (headers, status) in [
            (format!("{host}{token}"), 200),
            (token.clone(), 400),
            (format!("{host}{host}{token}"), 400),
            (format!("{host}{token}{token}"), 400),
            (format!("{host}{token}Content-Length: 0\r\nContent-Length: 5\r\n"), 400),
        ] {
            let request = format!("GET /api/v1/current-token HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
            let said = raw(address, &request).await?;
            ensure!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{headers:?}: {said}");
        }
        Ok(())
    })
}

#[test]
fn metrics_are_read_at_their_own_address_and_by_no_page_that_a_browser_was_led_to() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let metrics = control_plane.metrics()?;
        let text = metrics.get("/metrics").await?;
        ensure!(text.as_str().is_some_and(|text| text.contains("postern_")), "{text}");
        let api = control_plane.organization("Corp").await?;
        ensure!(api.get("/metrics").await.is_err(), "the API shows them");
        let request = "GET /metrics HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n";
        let said = raw(control_plane.metrics_address(), request).await?;
        ensure!(said.starts_with("HTTP/1.1 403 ") && !said.contains("postern_"), "{said}");
        ensure!(metrics.get("/api/v1/openapi.json").await.is_err(), "the API is there too");
        Ok(())
    })
}

#[test]
fn a_token_is_sent_in_the_clear_to_this_machine_only_and_an_empty_variable_is_none() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let api = control_plane.organization("Corp").await?;
        let home = stage.folder("home")?;
        let postern = || control_plane.command_line_at(&home);
        let login = postern().args(["login", "--url", &control_plane.url()]).input(api.token());
        login.success().await?;
        postern().env("POSTERN_TOKEN", "").env("POSTERN_URL", "").args(["tokens", "list"]).success().await?;

        // An address that nobody has: it is refused before anything is sent.
        let remote = || postern().args(["tokens", "list", "--url", "http://192.0.2.1:8080", "--token", "pst_x"]);
        let refused = remote().output().await?;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(64) && words.contains("--insecure-http"), "{words}");
        Ok(())
    })
}

#[test]
fn revoking_a_used_token_and_deleting_a_served_directory_say_what_stays() -> Result<()> {
    scenario(async |stage| {
        let control_plane = ControlPlane::start(stage, Options::for_tests()?).await?;
        let api = control_plane.organization("Corp").await?;
        let identity = enroll(&api.enrollment_token().await?, &Circumstances::default()).await?;
        let agent_id = identity.agent_id().to_string();
        let _agent = RawAgent::connect(identity, "corp").await?;
        api.directory("corp").await?;
        let run = async |arguments: &[&str]| -> Result<String> {
            let output = control_plane.command_line(&api).args(arguments.iter().copied()).output().await?;
            ensure!(output.status.success(), "{output:?}");
            Ok(String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let tokens: Vec<Value> = api.list("/api/v1/enrollment-tokens").await?;
        let used = tokens.first().and_then(|token| token["id"].as_str()).context("no token")?.to_owned();
        let words = run(&["enrollment-tokens", "revoke", &used, "--yes"]).await?;
        ensure!(words.contains(&format!("postern agents revoke {agent_id}")), "{words}");
        let words = run(&["directories", "delete", "corp", "--yes"]).await?;
        ensure!(words.contains("comes back") && words.contains(&agent_id), "{words}");
        Ok(())
    })
}

//! The API with TLS: who trusts its authority is served, everybody else is not, and without TLS it leaves loopback never.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::Api;
use postern_tests::certificates::CertificateAuthority;
use postern_tests::control_plane::{ApiTls, ControlPlane, Options};
use postern_tests::process::Launch;
use postern_tests::{Stage, scenario, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Exit code of a wrong configuration.
const CONFIG: i32 = 64;

fn issue(stage: &Stage, name: &str) -> Result<ApiTls> {
    let authority = CertificateAuthority::new(name)?;
    let folder = stage.folder(name)?;
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, authority.certificate_pem())?;
    let (certificate, key) = authority.server(&["127.0.0.1", "localhost"])?.write(&folder, "api")?;
    Ok(ApiTls { certificate, key, ca_file })
}

#[test]
fn the_api_over_tls_serves_who_trusts_its_authority_and_nobody_in_the_clear() -> Result<()> {
    scenario(async |stage| {
        let (tls, strangers) = (issue(stage, "corp-ca")?, issue(stage, "other-ca")?);
        let options = Options { api_tls: Some(tls), ..Options::for_tests()? };
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        ensure!(control_plane.url().starts_with("https://"));
        let tokens = control_plane.command_line(&api).args(["tokens", "list", "--json"]).success().await?;
        ensure!(tokens.contains("owner"), "the command line was not served: {tokens}");

        let stranger = Api::trusting(&control_plane.url(), api.token(), &strangers.ca_file)?;
        ensure!(stranger.get("/api/v1/tokens").await.is_err(), "a certificate of an unknown authority was accepted");
        let trusting_nobody = control_plane.command_line(&api).env("POSTERN_CA_FILE", &strangers.ca_file);
        let refused = trusting_nobody.args(["tokens", "list"]).output().await?;
        let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
        ensure!(refused.status.code() == Some(1) && said.contains("not trusted"), "{refused:?}");
        ensure!(said.contains("--ca-file"), "does not say what to do: {said}");
        in_the_clear(&control_plane, api.token()).await
    })
}

/// A request without TLS is not answered, however well it is authorized.
async fn in_the_clear(control_plane: &ControlPlane, token: &str) -> Result<()> {
    let mut stream = TcpStream::connect(control_plane.api_address()).await?;
    let request = format!("GET /api/v1/tokens HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut said = Vec::new();
    // A reset is an end as well.
    let reading = async { stream.read_to_end(&mut said).await.ok() };
    tokio::time::timeout(wait::SOON, reading).await.context("the API keeps a connection without TLS open")?;
    ensure!(!said.starts_with(b"HTTP/"), "answered in the clear: {}", String::from_utf8_lossy(&said));
    let plain = Api::new(&format!("http://{}", control_plane.api_address()), token)?;
    ensure!(plain.get("/readyz").await.is_err(), "plain HTTP was served");
    Ok(())
}

#[test]
fn without_a_usable_certificate_the_api_does_not_leave_loopback() -> Result<()> {
    scenario(async |stage| {
        let (tls, others) = (issue(stage, "corp-ca")?, issue(stage, "other-ca")?);
        let data = stage.folder("data")?;
        let text = |path: &Path| path.display().to_string();
        let everywhere = ["--listen".to_owned(), "0.0.0.0:0".to_owned()];
        let half = [everywhere.to_vec(), vec!["--tls-cert".to_owned(), text(&tls.certificate)]].concat();
        let of_another = ["--tls-cert".to_owned(), text(&tls.certificate), "--tls-key".to_owned(), text(&others.key)];
        let mismatched = [everywhere.to_vec(), of_another.to_vec()].concat();
        let cases =
            [("no certificate", everywhere.to_vec()), ("no key", half), ("the key of another certificate", mismatched)];
        let binaries = Options::for_tests()?.binaries;
        for (case, arguments) in cases {
            let serve = Launch::new("postern", &binaries.postern).args(["serve", "--gateway-listen", "127.0.0.1:0"]);
            let ended = serve.arg("--data-dir").arg(&data).args(arguments).output_within(Duration::from_secs(30)).await;
            let ended = ended.with_context(|| format!("{case}: it serves"))?;
            let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
            ensure!(ended.status.code() == Some(CONFIG), "{case}: {:?}: {said}", ended.status);
            ensure!(said.contains("--tls-key") || said.contains("certificate"), "{case}: does not say why: {said}");
        }
        Ok(())
    })
}

//! Certificates as they should not be, made by openssl, and a TLS server that shows one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::ports::Port;
use crate::process::{Launch, Process};
use crate::stage::Stage;
use crate::wait;

/// A certificate and its key in files.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// A self-signed certificate of this subject with these extensions (`name=value` of openssl).
pub async fn self_signed(folder: &Path, name: &str, subject: &str, extensions: &[&str]) -> Result<Files> {
    let files = Files { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    let mut make = openssl().args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject]);
    make = make.arg("-keyout").arg(&files.key).arg("-out").arg(&files.certificate);
    for extension in extensions {
        make = make.args(["-addext", extension]);
    }
    make.success().await?;
    Ok(files)
}

/// A certificate for `localhost`, signed by an authority with this digest, with this extended key usage.
pub async fn issued(folder: &Path, name: &str, authority: &Files, digest: &str, usage: &str) -> Result<Files> {
    let files = Files { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    let (request, extensions) = (folder.join(format!("{name}.csr")), folder.join(format!("{name}.ext")));
    let text = format!("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n");
    std::fs::write(&extensions, text)?;
    let ask = openssl().args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]);
    ask.arg("-keyout").arg(&files.key).arg("-out").arg(&request).success().await?;
    let sign = openssl().args(["x509", "-req", "-days", "30", "-CAcreateserial", digest]).arg("-in").arg(&request);
    let sign = sign.arg("-CA").arg(&authority.certificate).arg("-CAkey").arg(&authority.key);
    sign.arg("-extfile").arg(&extensions).arg("-out").arg(&files.certificate).success().await?;
    Ok(files)
}

fn openssl() -> Launch {
    Launch::new("openssl", "/usr/bin/openssl")
}

/// A server that shakes hands and no more.
#[derive(Debug)]
pub struct TlsServer {
    _process: Process,
    port: Port,
}

impl TlsServer {
    /// Starts it with this certificate.
    pub async fn start(stage: &Stage, shown: &Files) -> Result<Self> {
        let port = Port::free()?;
        // Weak signatures are what it is here for.
        let serve = openssl().args(["s_server", "-quiet", "-cipher", "DEFAULT@SECLEVEL=0"]);
        let serve = serve.args(["-accept", &port.address().to_string()]);
        let mut process = serve.arg("-cert").arg(&shown.certificate).arg("-key").arg(&shown.key).start(stage)?;
        let address = port.address();
        let listens = wait::until_true("openssl listens", wait::SOON, || async {
            Ok(tokio::net::TcpStream::connect(address).await.is_ok())
        });
        listens.await.or_else(|error| process.must_run().and(Err(error))).context("a TLS server")?;
        Ok(Self { _process: process, port })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ldaps://localhost:{}", self.port.number())
    }
}

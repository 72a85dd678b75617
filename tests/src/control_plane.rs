//! The real control plane: `postern serve` on ports and in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::api::Api;
use crate::binaries::Binaries;
use crate::ports::Port;
use crate::process::{ALLOCATOR, Launch, Process};
use crate::stage::Stage;
use crate::wait;

/// How to start a control plane.
#[derive(Clone, Debug)]
pub struct Options {
    /// The programs.
    pub binaries: Binaries,
    /// `postgres://…`; none: SQLite in the data folder.
    pub database_url: Option<String>,
    /// Where agents reach the gateway: a relay, for example; none: the gateway itself.
    pub public_address: Option<SocketAddr>,
    /// Where its data is; none: a folder of the stage.
    pub data_dir: Option<PathBuf>,
    /// The API's certificate; none: plain HTTP on loopback.
    pub api_tls: Option<ApiTls>,
    /// The most address space that its process may take; none: no limit.
    pub address_space_bytes: Option<u64>,
    /// Further settings, as `POSTERN__…` environment variables.
    pub settings: Vec<(String, String)>,
}

/// A certificate for the API.
#[derive(Clone, Debug)]
pub struct ApiTls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The authority that clients trust for it, PEM.
    pub ca_file: PathBuf,
}

impl Options {
    /// The defaults of a test: the programs beside it, SQLite, and a lease of 3 seconds, so that a dead owner's jobs
    /// are taken up soon.
    pub fn for_tests() -> Result<Self> {
        Ok(Self {
            binaries: Binaries::beside_this_program()?,
            database_url: None,
            public_address: None,
            data_dir: None,
            api_tls: None,
            address_space_bytes: None,
            settings: vec![("POSTERN__LEASE_SECS".to_owned(), "3".to_owned())],
        })
    }

    /// Adds a setting, named as in the configuration file.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("POSTERN__{}", key.to_ascii_uppercase()), value.to_owned()));
        self
    }
}

/// A control plane; killed when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    options: Options,
    process: Option<Process>,
    data_dir: PathBuf,
    api_port: Port,
    gateway_port: Port,
    metrics_port: Port,
}

impl ControlPlane {
    /// Starts it and waits until it is ready.
    pub async fn start(stage: &Stage, options: Options) -> Result<Self> {
        let data_dir = match &options.data_dir {
            Some(folder) => folder.clone(),
            None => stage.folder("control-plane")?,
        };
        let (api_port, gateway_port, metrics_port) = (Port::free()?, Port::free()?, Port::free()?);
        let mut control_plane = Self { options, process: None, data_dir, api_port, gateway_port, metrics_port };
        control_plane.run(stage).await?;
        Ok(control_plane)
    }

    /// Base URL of its REST interface.
    pub fn url(&self) -> String {
        let scheme = if self.options.api_tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.api_address())
    }

    /// Where its REST interface listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api_port.address()
    }

    /// A client of its REST interface, which trusts the API's certificate where it has one.
    pub fn client(&self, token: &str) -> Result<Api> {
        match &self.options.api_tls {
            Some(tls) => Api::trusting(&self.url(), token, &tls.ca_file),
            None => Api::new(&self.url(), token),
        }
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_port.address()
    }

    /// A client of its metrics.
    pub fn metrics(&self) -> Result<Api> {
        Api::new(&format!("http://{}", self.metrics_address()), "")
    }

    /// Where its gateway listens.
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway_port.address()
    }

    /// Folder with its database and certificate authority.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the control plane does not run")
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Creates an organization and returns a client with its first owner token.
    pub async fn organization(&self, name: &str) -> Result<Api> {
        let mut create = Launch::new("postern", &self.options.binaries.postern);
        create = create.args(["organizations", "create", name, "--data-dir"]).arg(&self.data_dir);
        if let Some(url) = &self.options.database_url {
            create = create.args(["--database-url", url]);
        }
        let printed = create.success().await?;
        let token = printed.lines().last().context("no token printed")?.trim();
        ensure!(!token.is_empty() && !token.contains(' '), "the last line is no token: {printed}");
        self.client(token)
    }

    /// The command line of the same program as somebody starts it whose home is this folder, with nothing in the
    /// environment that would name a server or a token.
    pub fn command_line_at(&self, home: &Path) -> Launch {
        // An empty folder of settings is none.
        Launch::new("postern", &self.options.binaries.postern).env("HOME", home).env("XDG_CONFIG_HOME", "")
    }

    /// The command line of the same program, with the server and a token in its environment.
    pub fn command_line(&self, api: &Api) -> Launch {
        self.environment(Launch::new("postern", &self.options.binaries.postern), api)
    }

    /// A shell that knows the command line as `postern`, with the server and a token in its environment.
    pub fn shell(&self, shell: Launch, api: &Api) -> Launch {
        let folder = self.options.binaries.postern.parent().unwrap_or(Path::new("/"));
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        self.environment(shell, api).env("PATH", path)
    }

    fn environment(&self, program: Launch, api: &Api) -> Launch {
        let program = match &self.options.api_tls {
            Some(tls) => program.env("POSTERN_CA_FILE", &tls.ca_file),
            None => program,
        };
        program.env("POSTERN_URL", self.url()).env("POSTERN_TOKEN", api.token()).env("HOME", &self.data_dir)
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits for the orderly end, which must be a success.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the control plane does not run")?;
        let status = process.terminate(wait::SOON).await?;
        ensure!(status.success(), "the control plane ended with {status} after SIGTERM:\n{}", process.log());
        Ok(())
    }

    /// Kills it where it runs, and starts it again on the same ports with the same data.
    pub async fn restart(&mut self, stage: &Stage) -> Result<()> {
        self.kill().await?;
        self.run(stage).await
    }

    /// The command that starts this control plane; [`ControlPlane::run`] uses it.
    pub fn launch(&self) -> Launch {
        let public = self.options.public_address.unwrap_or_else(|| self.gateway_address());
        let program = &self.options.binaries.postern;
        let serve = match self.options.address_space_bytes {
            // It replaces itself by the program.
            Some(bytes) => Launch::new("control-plane", "prlimit").arg(format!("--as={bytes}")).arg(program),
            None => Launch::new("control-plane", program),
        };
        let mut serve = serve.arg("serve");
        serve = serve.arg("--data-dir").arg(&self.data_dir);
        serve = serve.args(["--listen", &self.api_address().to_string()]);
        serve = serve.args(["--gateway-listen", &self.gateway_address().to_string()]);
        serve = serve.args(["--gateway-public-address", &public.to_string()]);
        serve = serve.args(["--metrics-listen", &self.metrics_port.address().to_string()]);
        if let Some(url) = &self.options.database_url {
            serve = serve.args(["--database-url", url]);
        }
        if let Some(tls) = &self.options.api_tls {
            serve = serve.arg("--tls-cert").arg(&tls.certificate).arg("--tls-key").arg(&tls.key);
        }
        serve = serve.env(ALLOCATOR.0, ALLOCATOR.1);
        for (name, value) in &self.options.settings {
            serve = serve.env(name, value);
        }
        serve
    }

    /// Starts it and waits until it is ready.
    pub async fn run(&mut self, stage: &Stage) -> Result<()> {
        let mut process = self.launch().start(stage)?;
        let ready = tokio::select! {
            ready = self.ready() => ready,
            ended = process.wait(wait::SOON * 2) => ended.and_then(|status| bail!("it ended with {status}")),
        };
        ready.or_else(|error| process.must_run().and(Err(error)))?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&self) -> Result<()> {
        let api = self.client("")?;
        wait::until_true("the control plane is ready", Duration::from_mins(1), || async {
            api.get("/readyz").await.map(|_| true)
        })
        .await
    }
}

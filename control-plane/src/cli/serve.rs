//! `postern serve`: runs the control plane.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use postern_runtime::clock::{Clock as _, SystemClock};
use postern_runtime::exit;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::service_manager;
use postern_runtime::supervise::chain;
use postern_runtime::telemetry::{self, Format};
use secrecy::SecretString;

use crate::app;
use crate::config::{Config, Settings};

/// How long sessions and transactions may take to end cleanly.
const GRACE: Duration = Duration::from_secs(20);
const DEFAULT_FILTER: &str = "info";

/// Flags of `postern serve`. Each but --new-authority is also a key of the configuration file and a `POSTERN__…` environment variable.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Configuration file, TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the database and the certificate authority [default: /var/lib/postern or ./postern-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address on which the gateway listens for agents [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway_listen: Option<SocketAddr>,
    /// Host and port that agents connect to [default: this machine's name]
    #[arg(long, value_name = "HOST:PORT")]
    pub gateway_public_address: Option<String>,
    /// PostgreSQL, postgres://…; without it a SQLite file in the data folder
    #[arg(long, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// File with the password for --database-url, readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
    /// Address of the metrics for Prometheus, without a token [default: none]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Certificate chain of the API, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Use a new certificate authority for this database; all agents must enroll again
    #[arg(long)]
    pub new_authority: bool,
}

impl ServeArgs {
    fn into_settings(self) -> Settings {
        Settings {
            data_dir: self.data_dir,
            listen: self.listen,
            gateway_listen: self.gateway_listen,
            gateway_public_address: self.gateway_public_address,
            database_url: self.database_url,
            database_password_file: self.database_password_file,
            metrics_listen: self.metrics_listen,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            new_authority: self.new_authority,
            ..Settings::default()
        }
    }
}

/// Runs the control plane until a signal ends it.
pub async fn run(args: ServeArgs) -> ExitCode {
    let shown = args.database_url.as_ref().is_some_and(crate::config::has_password);
    let config = match configure(args) {
        Ok(config) => config,
        Err(error) => return refuse(&error, telemetry::asked_for("POSTERN__LOG_FORMAT")),
    };
    if let Err(error) = telemetry::init(config.log_format, DEFAULT_FILTER) {
        return refuse(&error, config.log_format);
    }
    if shown {
        tracing::warn!(
            "serve.password_on_command_line: other users of this machine can read the database's password in the list of \
             processes; give it by --database-password-file"
        );
    }
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "serve.failed");
            ExitCode::from(if error.is_configuration() { exit::CONFIG } else { exit::FAILURE })
        }
    }
}

async fn serve(config: Config) -> Result<(), app::Error> {
    let clock = SystemClock::shared();
    let shutdown = Shutdown::on_signals(GRACE, clock.clone()).map_err(app::Error::Signals)?;
    let format = config.log_format;
    let server = app::Server::start(config, Arc::clone(&clock), shutdown).await?;
    // The line that scripts wait for; standard output has no other. It often ends up in one log with standard error.
    match format {
        Format::Text => println!("{}", server.ready_line()),
        Format::Json => println!("{}", ready_json(&server.ready_line())),
    }
    service_manager::accompany(&server.app.supervisor, clock).await;
    server.join().await
}

/// The ready line as a line of the JSON log.
fn ready_json(line: &str) -> String {
    let now = SystemClock.now().to_string();
    serde_json::json!({ "timestamp": now, "level": "INFO", "message": line, "target": "postern" }).to_string()
}

fn configure(args: ServeArgs) -> Result<Config, crate::config::Error> {
    let file = args.config.clone();
    args.into_settings().or(Settings::load(file.as_deref())?).resolve()
}

fn refuse(error: &(dyn std::error::Error + 'static), format: Format) -> ExitCode {
    eprintln!("{}", telemetry::line(format, "postern", &chain(error)));
    ExitCode::from(exit::CONFIG)
}

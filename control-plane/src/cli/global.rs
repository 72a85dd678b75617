//! The options of all commands that call a control plane.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

/// The options.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "To reach a control plane")]
pub(super) struct Global {
    /// Address of the control plane's API [default: that of `postern login`, or port 8080 of this machine]
    #[arg(long, global = true, env = "POSTERN_URL", hide_env_values = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// API token [default: that of `postern login`]. Other users of this machine can read command lines: prefer the
    /// environment variable
    #[arg(long, global = true, env = "POSTERN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<SecretString>,
    /// Additional certificate authority to trust for the API's certificate, PEM
    #[arg(long, global = true, env = "POSTERN_CA_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Allow the token to be sent to another machine over unencrypted http://
    #[arg(long, global = true)]
    pub(super) insecure_http: bool,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Global {
    /// Ignores empty variables: `POSTERN_TOKEN= postern …` leaves the token out.
    pub(super) fn forget_empty(&mut self) {
        self.url.take_if(|url| url.trim().is_empty());
        self.token.take_if(|token| token.expose_secret().trim().is_empty());
        self.ca_file.take_if(|path| path.as_os_str().is_empty());
    }
}

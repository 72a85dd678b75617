//! The options of all commands that call a control plane.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

/// The options.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "To reach a control plane")]
pub(super) struct Global {
    /// Address of the control plane's API [default: that of `postern login`, or port 8080 of this machine] [env:
    /// `POSTERN_URL`]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// API token [default: that of `postern login`]. Other users of this machine can read command lines: prefer the
    /// environment variable [env: `POSTERN_TOKEN`]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(super) token: Option<SecretString>,
    /// Additional certificate authority to trust for the API's certificate, PEM [env: `POSTERN_CA_FILE`]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Allow the token to be sent to another machine over unencrypted http://
    #[arg(long, global = true)]
    pub(super) insecure_http: bool,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Global {
    /// Takes what is not given from environment variables. clap does not read them, because its usage lines would show
    /// these options as if they were required. Empty values are left out, as in `POSTERN_TOKEN= postern …`.
    pub(super) fn complete(&mut self, variable: impl Fn(&str) -> Option<String>) {
        self.url = self.url.take().or_else(|| variable("POSTERN_URL"));
        self.token = self.token.take().or_else(|| variable("POSTERN_TOKEN").map(SecretString::from));
        self.ca_file = self.ca_file.take().or_else(|| variable("POSTERN_CA_FILE").map(PathBuf::from));
        self.url.take_if(|url| url.trim().is_empty());
        self.token.take_if(|token| token.expose_secret().trim().is_empty());
        self.ca_file.take_if(|path| path.as_os_str().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_comes_before_its_variable_and_an_empty_one_is_none() {
        let mut global =
            Global { url: Some("http://a".to_owned()), token: None, ca_file: None, insecure_http: false, json: false };
        global.complete(|name| Some(if name == "POSTERN_CA_FILE" { String::new() } else { format!("{name} it is") }));
        assert_eq!((global.url.as_deref(), &global.ca_file), (Some("http://a"), &None));
        assert_eq!(global.token.unwrap().expose_secret(), "POSTERN_TOKEN it is");
    }
}

//! `postern-agent enroll`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use postern_platform::paths;
use postern_proto::enrollment_token::EnrollmentToken;
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;

use super::place::{Place, log_quietly, one_thread};
use crate::certificate::Standing;
use crate::config::Config;
use crate::identity::enroll::{CLOCK_TOLERANCE, Enrolled, Enrollment};
use crate::identity::store::IdentityStore;

/// Arguments of `enroll`.
#[derive(Args)]
pub(super) struct Enroll {
    /// The enrollment token, as printed by `postern enrollment-tokens create`.
    #[arg(long, env = "POSTERN_ENROLLMENT_TOKEN", hide_env_values = true, required_unless_present = "token_file")]
    token: Option<String>,
    /// Read the token from this file instead; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Name of this agent in lists. Default: the host's short name.
    #[arg(long)]
    name: Option<String>,
    /// Replace the identity that this agent already has.
    #[arg(long)]
    force: bool,
    /// Do nothing if this agent has an identity already. For scripts that run again.
    #[arg(long, conflicts_with = "force")]
    if_needed: bool,
    #[command(flatten)]
    place: Place,
}

impl std::fmt::Debug for Enroll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enroll").field("place", &self.place).finish_non_exhaustive()
    }
}

pub(super) fn execute(args: Enroll) -> anyhow::Result<ExitCode> {
    log_quietly()?;
    let config = Config::load(args.place.config.as_deref())?;
    let store = IdentityStore::new(config.state_dir(args.place.state_dir.as_deref()));
    if args.if_needed && store.exists() {
        println!("This agent is enrolled already.");
        return Ok(ExitCode::SUCCESS);
    }
    refuse_second(&store, args.force)?;
    store.prove()?;
    let token: EnrollmentToken = read_token(&args)?.parse()?;
    let enrollment = Enrollment {
        proxy: config.proxy_rule()?,
        agent_name: args.name.unwrap_or_else(host_name),
        clock: SystemClock::shared(),
        supervisor: Supervisor::new(Shutdown::new()),
    };
    let runtime = one_thread().context("the runtime cannot be started")?;
    let enrolled = runtime.block_on(enrollment.enroll(&token));
    runtime.shutdown_background();
    let enrolled = enrolled?;
    store.save(&enrolled.identity)?;
    report(&enrolled, store.folder());
    Ok(ExitCode::SUCCESS)
}

fn refuse_second(store: &IdentityStore, force: bool) -> anyhow::Result<()> {
    if force || !store.exists() {
        return Ok(());
    }
    match store.load() {
        Ok(identity) => bail!(
            "this agent is enrolled already, as agent {} of {} (certificate valid until {}); use --force to replace \
             that identity with a new one",
            identity.agent_id(),
            identity.address(),
            identity.certificate().not_after,
        ),
        Err(error) => Err(anyhow::Error::new(error).context("an identity exists; use --force to replace it")),
    }
}

fn read_token(args: &Enroll) -> anyhow::Result<String> {
    match (&args.token, &args.token_file) {
        (Some(token), _) => Ok(token.clone()),
        (None, Some(file)) if file == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the token from standard input")?;
            Ok(text)
        }
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read the token file {}", file.display()))
        }
        (None, None) => bail!("no token given"),
    }
}

fn host_name() -> String {
    let full = paths::host_name();
    full.trim().split('.').next().unwrap_or_default().to_owned()
}

fn report(enrolled: &Enrolled, state_dir: &Path) {
    let identity = &enrolled.identity;
    println!("Enrolled as agent {} of {}.", identity.agent_id(), identity.address());
    println!(
        "The certificate is valid until {}; the agent renews it. The identity is stored in {}.",
        identity.certificate().not_after,
        state_dir.display()
    );
    match (enrolled.standing, enrolled.clock_ahead) {
        (Standing::NotYet(_), _) => eprintln!(
            "Warning: by this machine's clock the certificate is not valid before {}. Set the clock (NTP); the agent \
             cannot connect until it is right.",
            identity.certificate().not_before
        ),
        (Standing::Expired(_), _) => eprintln!(
            "Warning: by this machine's clock the certificate has expired already, at {}. Set the clock (NTP); the \
             agent cannot connect until it is right.",
            identity.certificate().not_after
        ),
        (Standing::Valid(_), Some(ahead)) if ahead.abs() > CLOCK_TOLERANCE => eprintln!(
            "Warning: this machine's clock is {} s {} the control plane's. Set the clock (NTP).",
            ahead.abs().as_secs(),
            if ahead.is_positive() { "behind" } else { "ahead of" }
        ),
        (Standing::Valid(_), _) => {}
    }
}

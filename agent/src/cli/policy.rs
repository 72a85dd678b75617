//! `postern-agent policy explain`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use postern_directory::DirectoryConfig;
use postern_runtime::exit;

use super::output;
use super::place::{Place, log_quietly, one_thread};
use crate::config::Config;
use crate::policy::Asked;
use crate::policy::explain::{self, Decision, Explanation};

/// More than any operation takes.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the site's policy would allow an operation, and why. Nothing is written to the directory.
    ///
    /// Exit code 0: it is allowed. 1: it is denied, or nobody can say.
    Explain(Explain),
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// File with the operation in JSON; `-` reads standard input. docs/operations.md describes it.
    #[arg(value_name = "OPERATION.json")]
    operation: PathBuf,
    /// Look at the entry in the directory. Without this, only the rules are read, and nothing is connected to.
    #[arg(long)]
    online: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Explain(args) = command;
    log_quietly()?;
    let config = Config::load(args.place.config.as_deref())?;
    let asked: Asked = serde_json::from_slice(&read(&args.operation)?).context("this is not an operation")?;
    let section = section(&config, asked.directory.as_deref())?;
    let explanation =
        if args.online { online(args, &config, section, &asked)? } else { explain::offline(section, &asked) };
    if args.json {
        output::print_json(&serde_json::to_string_pretty(&explanation)?)?;
    } else {
        output::print(&text(&explanation))?;
    }
    let allowed = explanation.decision == Decision::Allowed;
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILURE) })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        bail!("the operation is larger than {MAX_BYTES} bytes");
    }
    Ok(bytes)
}

fn section<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<&'a DirectoryConfig> {
    match (name, config.directories.as_slice()) {
        (Some(name), all) => all
            .iter()
            .find(|section| section.name == name)
            .with_context(|| format!("the configuration has no directory named {name:?}")),
        (None, [only]) => Ok(only),
        (None, []) => bail!("the configuration has no directory"),
        (None, _) => bail!("the configuration has several directories: name one as \"directory\" in the operation"),
    }
}

fn online(args: &Explain, config: &Config, section: &DirectoryConfig, asked: &Asked) -> anyhow::Result<Explanation> {
    let memory = Config::bind_memory(&config.state_dir(args.place.state_dir.as_deref()));
    let opened = config.open_directories(&[], &memory)?;
    let directory = opened.into_iter().find(|directory| directory.name() == section.name);
    let directory = directory.context("the directory cannot be used")?;
    let runtime = one_thread().context("the runtime cannot be started")?;
    let explanation = runtime.block_on(explain::online(section, &directory, asked));
    runtime.shutdown_background();
    Ok(explanation)
}

fn text(explanation: &Explanation) -> String {
    let Explanation { decision, rule, because, dn, notes } = explanation;
    let decision = match decision {
        Decision::Allowed => "allowed",
        Decision::Denied => "denied",
        Decision::Unknown => "unknown",
    };
    let rule = rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    let mut lines = vec![format!("{decision}{rule}: {because}")];
    lines.extend(dn.iter().map(|dn| format!("entry: {dn}")));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n") + "\n"
}

//! Systems whose services the agent does not know yet.

use std::process::ExitCode;

use anyhow::bail;

pub(super) fn install() -> anyhow::Result<ExitCode> {
    unknown()
}

pub(super) fn uninstall() -> anyhow::Result<ExitCode> {
    unknown()
}

pub(super) fn start() -> anyhow::Result<ExitCode> {
    unknown()
}

pub(super) fn stop() -> anyhow::Result<ExitCode> {
    unknown()
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    unknown()
}

fn unknown() -> anyhow::Result<ExitCode> {
    bail!(
        "the agent cannot make itself a service of this system yet; have `postern-agent run` started by your service manager"
    )
}

//! `postern agents`: the agents inside the sites.

use clap::Subcommand;

use super::super::api::agents::{AgentView, AllowRequest, ServedView};
use super::super::api::directories::DirectoryView;
use super::client::Client;
use super::confirm::Yes;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::name::Name;
use super::screen::{Screen, note, text_or, time, time_or, word};

/// Commands of `postern agents`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the agents
    List(ListArgs),
    /// Show an agent
    Show {
        /// Id of the agent, its beginning, or name of the agent
        agent: Name,
    },
    /// Allow an agent to serve an existing directory
    #[command(
        after_help = "An agent whose enrollment token did not name a directory may only serve new ones. The change \
        takes effect at once; `postern agents show` lists what it may serve."
    )]
    Allow {
        /// Id of the agent, its beginning, or name of the agent
        agent: Name,
        /// Name or id of the directory
        directory: String,
    },
    /// Disconnect an agent at once and permanently
    #[command(
        after_help = "To readmit the machine, enroll it again with a new enrollment token that names its directories."
    )]
    Revoke {
        /// Id of the agent, its beginning, or name of the agent
        agent: Name,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List(args) => list(&args, client, screen).await,
        Command::Show { agent } => {
            let agent: AgentView = client.get(&format!("agents/{agent}"), &[]).await?;
            screen.fields(
                &agent,
                &[
                    ("id", agent.id.to_string()),
                    ("name", agent.name.clone()),
                    ("version", text_or(agent.version.as_deref(), "not yet known")),
                    ("operating system", text_or(agent.os.as_deref(), "not yet known")),
                    ("directories", served(&agent)),
                    ("problem", problems(&agent)),
                    ("may serve", may_serve(&agent)),
                    ("enrolled", time(agent.enrolled_at)),
                    ("connected since", time_or(agent.connected_since, "not connected")),
                    ("last seen", time_or(agent.last_seen_at, "never")),
                    ("last error", last_error(&agent)),
                    ("certificate until", time(agent.certificate_expires_at)),
                    ("on two machines", time_or(agent.identity_shared_at, "never seen")),
                    ("revoked", time_or(agent.revoked_at, "no")),
                ],
            )
        }
        Command::Allow { agent, directory } => {
            let request = AllowRequest { directory };
            let agent: AgentView = client.post(&format!("agents/{agent}/directories"), &request).await?;
            let sentence = format!("The agent {} ({}) may now serve: {}.", agent.name, agent.id, may_serve(&agent));
            screen.done(&agent.id, "allowed", &sentence)
        }
        Command::Revoke { agent, yes } => revoke(&agent, yes, client, screen).await,
    }
}

async fn list(args: &ListArgs, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let agents: Found<AgentView> = client.list("agents", &[], args.most()).await?;
    let head = [
        "id",
        "name",
        "version",
        "directories",
        "connected since",
        "last seen",
        "last error",
        "certificate until",
        "revoked",
    ];
    for agent in agents.items.iter().filter(|agent| agent.revoked_at.is_none()) {
        if let Some(at) = agent.identity_shared_at {
            note(format!(
                "warning: the identity of {} ({}) was used on two machines, last seen {}; revoke it and enroll \
                 its machine again",
                agent.name,
                agent.id,
                time(at)
            ));
        }
    }
    screen.list(&agents, args, &head, |agent| {
        vec![
            agent.id.to_string(),
            agent.name.clone(),
            text_or(agent.version.as_deref(), "-"),
            served(agent),
            time_or(agent.connected_since, "not connected"),
            time_or(agent.last_seen_at, "never"),
            last_error(agent),
            time(agent.certificate_expires_at),
            time_or(agent.revoked_at, "-"),
        ]
    })
}

/// Why the last session broke or was refused, and when.
fn last_error(agent: &AgentView) -> String {
    let error = agent.last_error.as_ref().zip(agent.last_error_at);
    error.map_or_else(|| "-".to_owned(), |(text, at)| format!("{} {text}", time(at)))
}

/// The problems of directories at this agent.
fn problems(agent: &AgentView) -> String {
    let each = |served: &ServedView| -> Vec<String> {
        served.problems.iter().map(|problem| format!("{}: {}", served.name, problem.text)).collect()
    };
    let all: Vec<String> = agent.directories.iter().flat_map(each).collect();
    if all.is_empty() { "none known".to_owned() } else { all.join("; ") }
}

async fn revoke(agent: &Name, yes: Yes, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let agent: AgentView = client.get(&format!("agents/{agent}"), &[]).await?;
    yes.or_ask(&cuts(&agent, &alone(&agent, client).await?))?;
    client.delete(&format!("agents/{}", agent.id)).await?;
    screen.done(&agent.id, "revoked", "The agent is disconnected and cannot connect again.")
}

/// The directories that only this agent serves.
async fn alone(agent: &AgentView, client: &Client) -> Result<Vec<String>, Error> {
    let mut alone = Vec::new();
    for served in &agent.directories {
        let directory: DirectoryView = client.get(&format!("directories/{}", served.id), &[]).await?;
        if directory.agents.iter().all(|other| *other == agent.id) {
            alone.push(directory.name);
        }
    }
    Ok(alone)
}

/// What revoking an agent means.
fn cuts(agent: &AgentView, alone: &[String]) -> String {
    let seen = time_or(agent.last_seen_at, "never");
    let alone = if alone.is_empty() {
        String::new()
    } else {
        format!(" No other agent serves {}: jobs cannot reach it.", alone.join(", "))
    };
    format!(
        "This disconnects the agent {} ({}) at once and permanently. It serves: {}. Last seen: {seen}.{alone}",
        agent.name,
        agent.id,
        served(agent)
    )
}

fn may_serve(agent: &AgentView) -> String {
    let new = agent.takes_new_directories.then(|| "new names".to_owned());
    let names: Vec<String> = agent.allowed_directories.iter().cloned().chain(new).collect();
    names.join(", ")
}

fn served(agent: &AgentView) -> String {
    let names: Vec<String> =
        agent.directories.iter().map(|served| format!("{} ({})", served.name, word(&served.flavour))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

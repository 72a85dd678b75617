//! The opening of a session: the agent's version, the directories that it serves, and the jobs that it still works on.

use std::sync::Arc;

use postern_proto::limits::MAX_DIRECTORIES;
use postern_proto::sealed::PublicKey;
use postern_proto::{PROTOCOL_MAX, PROTOCOL_MIN, directory_name, negotiate};
use postern_proto::{text, v1};
use postern_store::{
    Agent, AgentId, AgentReading, AgentStanding, AnnouncedDirectory, Digests, Directory, DirectoryId, Flavour,
    NewSession, ServedDirectory,
};
use tonic::Status;

use super::super::parts::unavailable;
use super::super::pulse::Pulse;
use super::super::{certificates, held};
use super::seat::Seat;
use postern_engine::intake::configuration::differences;
use postern_engine::wire::{self, Served};
use postern_proto::v1::control_frame::Kind as ToWire;

/// Refused directories beyond this number get no answer each.
const MAX_REFUSED: usize = 2 * MAX_DIRECTORIES;
/// How many refused names a log line holds, and how many characters of each.
const MAX_LOGGED: usize = 10;
const MAX_LOGGED_CHARS: usize = 64;
/// Longest text by which an agent's process identifies itself.
const MAX_INSTANCE_BYTES: usize = 64;

/// Answers a Hello and enters the session in the tables and the database.
pub(super) async fn greet(
    seat: &mut Seat,
    pulse: &Arc<Pulse>,
    known: &AgentReading,
    hello: v1::Hello,
) -> Result<v1::Welcome, Status> {
    let Some(protocol_version) = negotiate(hello.protocol_min, hello.protocol_max) else {
        return Err(Status::failed_precondition(format!(
            "the agent speaks protocol versions {} to {}, this control plane {PROTOCOL_MIN} to {PROTOCOL_MAX}; update \
             the older of the two",
            hello.protocol_min, hello.protocol_max
        )));
    };
    let instance = text::optional(&hello.instance).filter(|instance| instance.len() <= MAX_INSTANCE_BYTES);
    refuse_second(seat, &known.agent, instance.as_deref()).await?;
    let (directories, refused) = announce(seat, known, &hello).await?;
    let parts = &seat.gateway.0;
    let holds = wire::held(&hello.held_commands);
    let now = parts.clock.now();
    let (organization, agent, id) = (known.agent.organization, known.agent.id, seat.route.session());
    parts.registry.opened(&seat.route, pulse, NewSession { organization, agent, id, instance, connected_at: now });
    if !seat.seated {
        seat.seated = true;
        metrics::gauge!("postern_gateway_sessions").increment(1.0);
    }
    // First the jobs that the agent holds, then its directories: a job that it still works on must not be sent again.
    parts.dispatcher.session_opened(&seat.route, &holds).await.map_err(|error| unavailable(&error))?;
    parts.reach.serve(&seat.route, &[], &directories);
    seat.directories = directories;
    seat.refused = !refused.is_empty();
    let ahead_ms = (hello.clock_unix_ms != 0).then(|| hello.clock_unix_ms.saturating_sub(wire::unix_ms(now)));
    tracing::info!(
        agent = %known.agent.id, session = %seat.route.session(), version = text::clean(&hello.agent_version),
        directories = seat.directories.len(), held = holds.len(), clock_ahead_ms = ahead_ms, "gateway.session_opened"
    );
    Ok(v1::Welcome {
        protocol_version,
        session_id: seat.route.session().to_string(),
        heartbeat_interval_ms: u32::try_from(parts.heartbeat_interval.as_millis()).unwrap_or(u32::MAX),
        clock_unix_ms: wire::unix_ms(now),
        capabilities: Vec::new(),
        refused_directories: refused,
    })
}

/// Refuses a machine that uses the identity of another one, which is connected and came later.
async fn refuse_second(seat: &Seat, known: &Agent, instance: Option<&str>) -> Result<(), Status> {
    let (parts, agent) = (&seat.gateway.0, seat.route.agent());
    let elsewhere = held::gave_way(&seat.gateway, known.session.as_ref(), instance);
    if !elsewhere && !parts.registry.gave_way(agent, instance) {
        return Ok(());
    }
    let reason = "two processes connect with it in turns";
    certificates::note_shared(&seat.gateway, agent, reason, parts.clock.now()).await;
    Err(Status::failed_precondition(
        "another machine, which connected later, uses the identity of this agent. If one machine is a copy of the \
         other, enroll one of them again (postern-agent enroll --force)",
    ))
}

/// Applies a changed list of directories. Answers only if something is refused, or was until now.
pub(super) async fn directories_changed(
    seat: &mut Seat,
    changed: v1::DirectoriesChanged,
) -> Result<Option<v1::ControlFrame>, Status> {
    let agent = seat.gateway.0.store.agent_by_id(seat.route.agent()).await.map_err(|error| unavailable(&error))?;
    let Some(agent) = agent.filter(|agent| agent.revoked_at.is_none()) else {
        return Err(Status::permission_denied("this agent was revoked"));
    };
    let (served, mut refused) = allowed(&agent, changed.directories);
    let directories = write(seat, &agent, &served, &mut refused).await?;
    seat.gateway.0.reach.serve(&seat.route, &seat.directories, &directories);
    seat.directories = directories;
    let was_refused = std::mem::replace(&mut seat.refused, !refused.is_empty());
    let worth_telling = was_refused || seat.refused;
    let frame = || wire::frame(ToWire::DirectoriesRefused(v1::DirectoriesRefused { directories: refused }));
    Ok(worth_telling.then(frame))
}

/// Records the agent's directories and version. Reads first, because after a restart ten thousand agents announce what
/// is recorded already, which must cost no write.
async fn announce(
    seat: &Seat,
    known: &AgentReading,
    hello: &v1::Hello,
) -> Result<(Vec<DirectoryId>, Vec<v1::RefusedDirectory>), Status> {
    let (parts, agent) = (&seat.gateway.0, &known.agent);
    let (version, os) = (text::optional(&hello.agent_version), text::optional(&hello.os));
    if version.is_some() && agent.version != version || os.is_some() && agent.os != os {
        let recorded = parts.store.record_hello(agent.id, version.as_deref(), os.as_deref(), parts.clock.now()).await;
        recorded.map_err(|error| unavailable(&error))?;
    }
    let key = PublicKey::from_bytes(&hello.password_key).ok().map(|key| key.to_bytes());
    if agent.password_key != key {
        let recorded = parts.store.record_password_key(agent.id, key.as_deref()).await;
        recorded.map_err(|error| unavailable(&error))?;
    }
    let (served, mut refused) = allowed(agent, hello.directories.clone());
    let says = |known: &ServedDirectory, one: &Served| {
        known.name == one.name
            && known.problem == one.problem
            && known.configuration == one.configuration
            && (known.flavour == one.flavour || one.flavour == Flavour::Unknown)
    };
    let known = &known.directories;
    let same = known.len() == served.len() && served.iter().all(|one| known.iter().any(|known| says(known, one)));
    if same {
        return Ok((known.iter().map(|directory| directory.id).collect(), refused));
    }
    Ok((write(seat, agent, &served, &mut refused).await?, refused))
}

/// Writes what the agent serves, and adds the directories that it may not serve to the refused ones.
async fn write(
    seat: &Seat,
    agent: &Agent,
    served: &[Served],
    refused: &mut Vec<v1::RefusedDirectory>,
) -> Result<Vec<DirectoryId>, Status> {
    let parts = &seat.gateway.0;
    let announced: Vec<AnnouncedDirectory> =
        served.iter().map(|one| AnnouncedDirectory { name: one.name.clone(), flavour: one.flavour }).collect();
    let written = parts.store.announce_directories(agent.organization, agent.id, &announced, parts.clock.now()).await;
    let written = written.map_err(|error| unavailable(&error))?;
    let standings: Vec<AgentStanding> = written
        .iter()
        .filter_map(|directory| {
            let Served { problem, configuration, .. } = served.iter().find(|one| one.name == directory.name)?;
            let (problem, configuration) = (problem.clone(), configuration.clone());
            // A new announcement has neither.
            let says_something = problem.is_some() || configuration != Digests::default();
            says_something.then_some(AgentStanding { directory: directory.id, problem, configuration })
        })
        .collect();
    if !standings.is_empty() {
        let noted = parts.store.note_standings(agent.organization, agent.id, &standings).await;
        noted.map_err(|error| unavailable(&error))?;
        log_differences(agent.id, &written, &standings);
    }
    let others = served.iter().filter(|one| !written.iter().any(|directory| directory.name == one.name));
    for Served { name, .. } in others {
        tracing::warn!(agent = %agent.id, directory = name, "gateway.directory_of_another_refused");
        let reason = format!(
            "another agent announced it first (or this agent has taken too many names), and the enrollment token of this \
             agent does not name it; allow it with \
             `postern agents allow {} {name}`, or enroll the agent again with a token that names it",
            agent.id
        );
        refused.push(v1::RefusedDirectory { name: name.clone(), reason });
    }
    Ok(written.into_iter().map(|directory| directory.id).collect())
}

/// Logs which directories this agent reads with another configuration than the last import or another agent.
fn log_differences(agent: AgentId, directories: &[Directory], standings: &[AgentStanding]) {
    for directory in directories {
        let Some(standing) = standings.iter().find(|standing| standing.directory == directory.id) else { continue };
        let mut directory = directory.clone();
        directory.configurations.retain(|(known, _)| *known != agent);
        directory.configurations.push((agent, standing.configuration.clone()));
        directory.configurations.sort_unstable_by_key(|(agent, _)| *agent);
        for difference in differences(&directory).iter().filter(|difference| difference.concerns(agent)) {
            let sections = difference.sections.join(", ");
            tracing::warn!(
                agent = %difference.agent, directory = directory.name, sections, explanation = %difference,
                "gateway.other_configuration"
            );
        }
    }
}

/// Splits the announced directories into those that the agent may serve, as far as known without the database, and
/// those that are refused, with the remedy.
fn allowed(agent: &Agent, announced: Vec<v1::ServedDirectory>) -> (Vec<Served>, Vec<v1::RefusedDirectory>) {
    let no_name = format!("a directory's name is {}; rename it in the agent's configuration", directory_name::RULE);
    let (announced, nameless) = wire::served(announced);
    let mut refused: Vec<v1::RefusedDirectory> =
        nameless.into_iter().map(|name| v1::RefusedDirectory { name, reason: no_name.clone() }).collect();
    let mut served = Vec::new();
    for one in announced.into_iter().take(MAX_DIRECTORIES + MAX_REFUSED) {
        let named = agent.takes_new_directories || agent.allowed_directories.contains(&one.name);
        let reason = match named {
            true if served.len() < MAX_DIRECTORIES => {
                served.push(one);
                continue;
            }
            true => format!("an agent may serve {MAX_DIRECTORIES} directories; give the others to another agent"),
            false => format!(
                "the enrollment token of this agent does not name it; allow it with `postern agents allow {1} {0}`, or \
                 enroll the agent again with a token that does (postern enrollment-tokens create --directory {0}, with \
                 --directory once for each of its others; then postern-agent enroll --force), or take {0} out of the \
                 agent's configuration",
                one.name, agent.id
            ),
        };
        refused.push(v1::RefusedDirectory { name: one.name, reason });
    }
    if !refused.is_empty() {
        let (count, names) = (refused.len(), logged(&refused));
        tracing::warn!(agent = %agent.id, count, refused = names, "gateway.directories_refused");
    }
    (served, refused)
}

/// The first refused names, shortened: an agent chooses how many there are and how long they are.
fn logged(refused: &[v1::RefusedDirectory]) -> String {
    let cut = |one: &v1::RefusedDirectory| one.name.chars().take(MAX_LOGGED_CHARS).collect::<String>();
    refused.iter().take(MAX_LOGGED).map(cut).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_holds_ten_refused_names_of_64_characters() {
        let one = v1::RefusedDirectory { name: "ü".repeat(1_000), reason: String::new() };
        let line = logged(&vec![one; 500]);
        assert_eq!(line.chars().count(), 10 * 64 + 9);
    }
}

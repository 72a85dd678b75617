//! One agent: everything wired together, in as many copies as a process wants.

use std::sync::Arc;

use arc_swap::ArcSwap;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, Supervisor};
use uuid::Uuid;

use crate::commands::{self, Commands, Context};
use crate::deliver::DeliveryOptions;
use crate::identity::IdentitySource;
use crate::link::{Dial, Line};
use crate::passwords::Passwords;
use crate::policy::Policy;
use crate::renew::{Renewal, warn_of_standing};
use crate::roster::{Announced, Directories, Roster};
use crate::session::State;
use crate::session::parts::Session;
use crate::session::run::SessionOptions;
use crate::status::{DirectoryReport, IdentityReport, Observed, Occurrence, Status};

/// Limits of an agent; the defaults are those of the field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Of its session.
    pub session: SessionOptions,
    /// Of its deliveries.
    pub delivery: DeliveryOptions,
}

/// What an agent is made of.
pub struct Parts {
    /// The way to its control plane.
    pub dial: Arc<dyn Dial>,
    /// Its identity, which it renews. None where the transport itself says who it is (hosted in the control plane).
    pub identity: Option<IdentitySource>,
    /// What it serves.
    pub directories: Directories,
    /// The site's policy.
    pub policy: Policy,
    /// The key that passwords are sealed to. None: this agent opens none.
    pub passwords: Option<Arc<Passwords>>,
    /// Limits.
    pub options: Options,
    /// Who runs its tasks; they end with its shutdown.
    pub supervisor: Supervisor,
    /// Time.
    pub clock: SharedClock,
}

/// An agent. Dropping it does not stop it; its supervisor's shutdown does.
pub struct Agent {
    identity: Option<IdentitySource>,
    commands: Commands,
    roster: Arc<Roster>,
    observed: Arc<Observed>,
    supervisor: Supervisor,
    clock: SharedClock,
}

impl Agent {
    /// Wires an agent and starts it.
    pub fn start(parts: Parts) -> Self {
        let Parts { dial, identity, directories, policy, passwords, options, supervisor, clock } = parts;
        let (line, roster) = (Line::new(), Arc::new(Roster::new(directories)));
        let observed = Arc::new(Observed::new(&State::initial().shown(), clock.now()));
        let commands = Commands::new(Context {
            kinds: commands::ALL,
            roster: Arc::clone(&roster),
            policy: ArcSwap::from_pointee(policy),
            passwords,
            line: line.clone(),
            delivery: options.delivery,
            clock: clock.clone(),
            supervisor: supervisor.clone(),
        });
        if let Some(identity) = &identity {
            warn_of_standing(&identity.current(), clock.now());
            let renewal = Renewal {
                identity: identity.clone(),
                line: line.clone(),
                clock: clock.clone(),
                observed: Arc::clone(&observed),
            };
            supervisor.spawn("renewal", OnCancel::Abort, renewal.run());
        }
        let session = Session {
            dial,
            identity: identity.clone(),
            commands: commands.clone(),
            roster: Arc::clone(&roster),
            line,
            clock: clock.clone(),
            supervisor: supervisor.clone(),
            pulse: supervisor.pulse(),
            observed: Arc::clone(&observed),
            options: options.session,
            instance: Uuid::now_v7(),
        };
        supervisor.spawn_critical("session", OnCancel::Finish, session.run());
        roster.probe(&supervisor, &clock);
        Self { identity, commands, roster, observed, supervisor, clock }
    }

    /// Serves other directories under another policy from now on.
    pub fn reload(&self, directories: Directories, policy: Policy) {
        self.commands.policy().store(Arc::new(policy));
        self.roster.replace(directories);
        self.roster.probe(&self.supervisor, &self.clock);
        self.observed.reloaded(None);
    }

    /// Notes that the changed file was not taken up.
    pub fn reload_refused(&self, error: String) {
        self.observed.reloaded(Some(Occurrence { at: self.clock.now(), error }));
    }

    /// How it does.
    pub fn status(&self) -> Status {
        let identity = self.identity.as_ref().map(|source| {
            let identity = source.current();
            IdentityReport {
                agent_id: identity.agent_id(),
                control_plane: identity.address().to_string(),
                certificate_not_after: identity.certificate().not_after,
                renewal_due: identity.renewal_due(),
            }
        });
        let refusals = self.observed.refusals().clone();
        let directory = |Announced { name, flavour, problem, .. }| {
            let refused = refusals.get(&name).cloned();
            DirectoryReport { name, flavour, problem, refused }
        };
        Status {
            version: crate::VERSION.to_owned(),
            process_id: std::process::id(),
            identity,
            session: self.observed.session(),
            directories: self.roster.announced().into_iter().map(directory).collect(),
            commands: self.commands.report(),
            reload_refused: self.observed.reload_refused(),
        }
    }
}

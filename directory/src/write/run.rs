//! Carries an operation to its end, over a connection that may break: what was sent and not answered is settled by
//! looking at the same server again.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::time::Instant;

use super::choice;
use super::gate::Gate;
use super::operation::{Change, Operation};
use super::outcome::{Done, Effect};
use super::session::{Lease, Pool};
use super::unsettled::{Key, Place};
use super::work::Work;
use crate::connection::Servers;
use crate::error::Error;
use crate::failure::{Action, Failure};

/// How often an operation is begun anew after a broken connection.
const MOST_CUTS: u32 = 3;

/// What a broken connection leaves behind.
#[derive(Clone, Copy)]
struct Cut {
    server: Place,
    unanswered: Option<Action>,
}

pub(crate) async fn operate(
    servers: &Servers,
    pool: &Pool,
    operation: &Operation,
    gate: &dyn Gate,
) -> Result<Done, Error> {
    if !servers.is_complete() {
        // What a new entry is known by may be open.
        servers.open().await?;
    }
    let key = Key::of(operation, servers.config());
    let asked = key.as_ref().and_then(|key| pool.unsettled.place(key, Instant::now()));
    let mut cut = asked.map(|server| Cut { server, unanswered: Some(Action::Add) });
    // Two entries never look for a free name at the same time: both would find the same one.
    let _alone = if operation.chooses() { Some(pool.choosing.lock().await) } else { None };
    let answer = carry_out(servers, pool, operation, gate, &mut cut).await;
    match (key, cut) {
        (Some(key), Some(cut)) => pool.unsettled.remember(key, cut.server, Instant::now()),
        (Some(key), None) => pool.unsettled.forget(&key),
        (None, _) => {}
    }
    answer
}

/// `cut` names the server that was asked last and has to say what it did. It is empty once a server has answered.
async fn carry_out(
    servers: &Servers,
    pool: &Pool,
    operation: &Operation,
    gate: &dyn Gate,
    cut: &mut Option<Cut>,
) -> Result<Done, Error> {
    let Some(write) = &servers.config().write else { return Err(Failure::Off.into()) };
    let mut question = servers.question();
    let mut cuts = 0;
    let (permitted, chosen) = (AtomicBool::new(false), AtomicUsize::new(choice::NONE));
    loop {
        let mut lease = match &cut {
            None => pool.take(servers).await?,
            Some(cut) => pool.take_at(servers, cut.server).await.map_err(|error| unsettled(*cut, error))?,
        };
        let again = cuts > 0 && cut.is_some();
        let phase = operation.phase;
        let session = &mut lease.session;
        let (config, permitted, chosen) = (servers.config(), &permitted, &chosen);
        let mut work = Work { session, servers, config, write, gate, phase, again, permitted, chosen };
        work.bring_back();
        let error = match work.run(operation).await {
            Ok(done) => {
                *cut = None;
                pool.give(lease);
                return Ok(settled(done, again));
            }
            Err(error) => error,
        };
        if !lease.session.connection.is_broken() {
            *cut = None;
            pool.give(lease);
            return Err(error);
        }
        cuts += 1;
        let left = leaves(&lease);
        *cut = left.or(*cut);
        if cuts >= MOST_CUTS {
            return Err(match *cut {
                Some(cut) => unsettled(cut, error),
                None => error,
            });
        }
        let goes_on = left.is_some()
            // Nothing was sent yet: another server or a new connection will do.
            || question.is_worth_repeating(&lease.session.connection, &error)
            || cut.is_some()
            || lease.is_old
            || (cuts == 1 && !matches!(error, Error::Timeout { .. }));
        if !goes_on {
            return Err(error);
        }
    }
}

fn leaves(lease: &Lease) -> Option<Cut> {
    let session = &lease.session;
    let server = (session.connection.server, session.connection.address);
    let sent = session.unanswered.is_some() || session.has_written;
    sent.then_some(Cut { server, unanswered: session.unanswered })
}

/// The server that has the answer cannot be asked.
fn unsettled(cut: Cut, error: Error) -> Error {
    match cut.unanswered {
        Some(action) => Failure::Unknown { action }.into(),
        None => error,
    }
}

/// What an earlier try has done was done by this operation.
fn settled(mut done: Done, again: bool) -> Done {
    if again && done.effect == Effect::AlreadySo {
        done.effect = Effect::Changed;
    }
    done
}

impl Work<'_> {
    async fn run(&mut self, operation: &Operation) -> Result<Done, Error> {
        let subject = &operation.subject;
        match &operation.change {
            Change::Create(create) => self.create_by_choice(create).await,
            Change::Update(changes) => self.update(subject, changes).await,
            Change::Move(to) => self.relocate(subject, to).await,
            Change::Enable => self.turn(subject, true).await,
            Change::Disable => self.turn(subject, false).await,
            Change::Delete => self.remove(subject).await,
            Change::Unlock => self.unlock(subject).await,
            Change::SetPassword(new) => self.set_password(subject, new).await,
            Change::Members(change) => self.change_members(subject, change).await,
        }
    }
}

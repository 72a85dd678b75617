//! Between the summary and its acceptance, the agent looks for each account that did not come directly, because a
//! server may have ended a search early. What it finds is durable before the import counts as proven.

use std::collections::{HashMap, HashSet};

use postern_proto::v1::chunk_ack;
use postern_store::{AccountId, Lease, Sight, SoughtAccount, Staged};
use tokio::sync::mpsc;
use tonic::Status;

use super::answers::{Answers, Item, answer};
use crate::gateway::parts::{Parts, unavailable};
use postern_engine::intake::deliveries::AdmittedDelivery;
use postern_engine::intake::moved_containers::MovedContainers;
use postern_engine::intake::proof::{Cut, Summary};
use postern_engine::intake::{apply, missing};
use postern_engine::wire;

/// Accounts in one request.
const BATCH: usize = 100;
/// Most accounts that are looked for in renamed containers. With more, an import is held anyway.
const MOST_WITHOUT_CONTAINER: usize = 10_000;

pub(super) struct SecondLook<'a> {
    pub(super) parts: &'a Parts,
    pub(super) delivery: &'a AdmittedDelivery,
    pub(super) answers: &'a Answers,
    pub(super) queue: mpsc::Receiver<Item>,
}

impl SecondLook<'_> {
    /// Looks for all accounts that did not come. Returns what it found if that proves that the search was cut.
    pub(super) async fn run(mut self, summary: &Summary, recorded: &Staged) -> Result<Option<Cut>, Status> {
        // In these cases no account is marked missing, so there is nothing to look for.
        if summary.unusable > 0 || !summary.looks_again {
            return Ok(None);
        }
        let candidates = self.candidates(recorded).await?;
        let (mut asked, missed) = (0, candidates.len() as u64);
        let mut without_container = Vec::new();
        for batch in candidates.chunks(BATCH) {
            let &AdmittedDelivery { organization, .. } = self.delivery;
            let sought =
                self.delivery.data.sought_accounts(organization, batch).await.map_err(|error| unavailable(&error))?;
            let sights = self.ask(&sought).await?;
            asked += sought.len() as u64;
            let found = sights.iter().filter(|sight| sight.is_none()).count() as u64;
            if found > 0 {
                return Ok(Some(Cut { found, asked, missed }));
            }
            let mut seen = Vec::with_capacity(sought.len());
            for (account, sight) in sought.into_iter().zip(sights) {
                match sight {
                    Some(Sight::ContainerNotFound) if without_container.len() < MOST_WITHOUT_CONTAINER => {
                        without_container.push(account);
                    }
                    sight => seen.extend(sight.map(|sight| (account.id, sight))),
                }
            }
            self.record(&seen).await?;
        }
        let found = self.in_renamed_containers(without_container).await?;
        if found > 0 {
            return Ok(Some(Cut { found, asked, missed }));
        }
        if asked > 0 {
            tracing::info!(job = %self.delivery.job, asked, "intake.looked_again");
        }
        Ok(None)
    }

    /// Looks for accounts whose containers are not found where they would be now, if their containers were renamed.
    /// Returns how many are there.
    async fn in_renamed_containers(&mut self, accounts: Vec<SoughtAccount>) -> Result<u64, Status> {
        if accounts.is_empty() {
            return Ok(0);
        }
        let &AdmittedDelivery { organization, directory, job, attempt, .. } = self.delivery;
        let running = &self.parts.dispatcher.running;
        let moved = async {
            let Some(directory) = self.parts.store.get_directory(organization, directory).await? else {
                return Ok(MovedContainers::default());
            };
            MovedContainers::find(running, &self.delivery.data, &directory, (job, attempt), &accounts).await
        };
        let moved: Result<MovedContainers, postern_store::Error> = moved.await;
        let moved = moved.map_err(|error| unavailable(&error))?;
        for batch in accounts.chunks(BATCH) {
            let there =
                |account: &SoughtAccount| moved.new_dn(&account.dn).map(|dn| SoughtAccount { dn, ..account.clone() });
            let there: Vec<SoughtAccount> = batch.iter().filter_map(there).collect();
            let sights = if there.is_empty() { Vec::new() } else { self.ask(&there).await? };
            let found = sights.iter().filter(|sight| sight.is_none()).count() as u64;
            if found > 0 {
                return Ok(found);
            }
            let gone = there.iter().zip(sights).filter_map(|(account, sight)| Some((account.id, sight?)));
            let gone: HashMap<AccountId, Sight> = gone.filter(|(_, sight)| sight.is_missing()).collect();
            // What the new container does not answer is still about the old one: it may be hidden.
            let seen = |account: &SoughtAccount| {
                (account.id, gone.get(&account.id).copied().unwrap_or(Sight::ContainerNotFound))
            };
            let seen: Vec<(AccountId, Sight)> = batch.iter().map(seen).collect();
            self.record(&seen).await?;
        }
        Ok(0)
    }

    /// The accounts that did not come, without those that were looked for before the connection broke.
    async fn candidates(&self, recorded: &Staged) -> Result<Vec<AccountId>, Status> {
        let &AdmittedDelivery { organization, directory, job, attempt, .. } = self.delivery;
        let store = &self.delivery.data;
        let found = async {
            let Some(directory) = store.get_directory(organization, directory).await? else { return Ok(None) };
            let _turn = self.parts.dispatcher.running.reading_turn.lock().await;
            let missing = missing::find(store, &directory, job, attempt, recorded).await?;
            if missing.accounts.is_empty() {
                return Ok(Some(missing.accounts));
            }
            let looked: HashSet<AccountId> =
                store.sights(organization, job, attempt).await?.into_iter().map(|(account, _)| account).collect();
            Ok(Some(missing.accounts.into_iter().filter(|account| !looked.contains(account)).collect()))
        };
        let found: Result<Option<Vec<AccountId>>, postern_store::Error> = found.await;
        found.map_err(|error| unavailable(&error))?.ok_or_else(|| Status::aborted("the directory was deleted"))
    }

    async fn ask(&mut self, sought: &[SoughtAccount]) -> Result<Vec<Option<Sight>>, Status> {
        answer(self.answers, chunk_ack::Kind::LookAgain(wire::look_again(sought))).await?;
        match self.queue.recv().await {
            Some(Item::Looked(sights)) if sights.len() == sought.len() => {
                Ok(sights.iter().map(|byte| wire::sight(*byte)).collect())
            }
            Some(_) => Err(Status::invalid_argument("the answer is not about the entries that were asked for")),
            // The reading half gives the reason.
            None => Err(Status::cancelled("the agent has closed the delivery")),
        }
    }

    async fn record(&self, seen: &[(AccountId, Sight)]) -> Result<(), Status> {
        let &AdmittedDelivery { organization, directory, job, attempt, .. } = self.delivery;
        let lease = Lease { job, attempt, owner: self.parts.dispatcher.running.owner };
        let write = async {
            let now = self.parts.clock.now();
            let mut tx = self.delivery.data.begin_intake(organization, directory, now).await?;
            if !tx.check_owner(&lease).await? {
                return Ok(false);
            }
            tx.record_sights(job, attempt, seen).await?;
            tx.commit().await?;
            Ok(true)
        };
        let written: Result<bool, postern_store::Error> = write.await;
        let written = written.map_err(|error| unavailable(&error))?;
        if written { Ok(()) } else { Err(Status::aborted(apply::Error::Fenced.to_string())) }
    }
}

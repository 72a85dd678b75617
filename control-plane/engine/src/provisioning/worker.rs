//! Provisions one target: sends operations in a bounded window. The operations of one object follow each other; objects do
//! not wait for each other. `due` decides about marks, `approved` and `asked` take what people want, `answers` writes what
//! came back.

mod answers;
mod approved;
mod asked;
mod due;
mod tried;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::SharedClock;
use postern_runtime::failpoint;
use postern_store::{AccountId, AccountKind, IdentityId, Mark, Operation, OperationState, Store};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::tried::Tried;
use super::change::{Change, Step};
use super::connector::{Answer, Connector, Request};
use super::left::Left;
use super::load::Target;
use super::pace::{self, Pace};
use super::passwords;
use super::rate::Rate;
use super::settings::{BothChanged, Mode};
use crate::jobs::failure::Failure;

/// Operations that are under way at a time.
pub(super) const WINDOW: usize = 64;
/// Objects that are decided about together. With less room nobody looks what is due: each look costs as much.
const TOGETHER: usize = 16;
/// How long to wait while nobody can take operations.
const UNREACHABLE: Duration = Duration::from_secs(2);
/// The first pause after a failure, and the longest.
const RETRY_FIRST: i64 = 10;
const RETRY_LONGEST: i64 = 3_600;
/// The longest pause after a failure of the directory as a whole: once it is back, all that waits goes soon.
const RETRY_OUTAGE: i64 = 300;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The operations of one user or group, in their order.
#[derive(Debug)]
struct Line {
    mark: Option<Mark>,
    outbound: bool,
    account: Option<AccountId>,
    /// Whether the user has left the account behind.
    left: Left,
    /// The first one is sent; the others wait.
    operations: VecDeque<Operation>,
    /// One of them has failed; those after it were carried out all the same.
    failed: bool,
    /// How often its own operations have set its mark, by changing the account.
    own: i64,
    /// Whether they count towards the limits of an hour.
    counted: bool,
}

/// One target while it is provisioned.
pub(super) struct Worker {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) target: Target,
    /// Woken when something may have to be done.
    pub(super) wake: Arc<Notify>,
    pace: Pace,
    rate: Rate,
    /// How many users' accounts the target has, for thresholds.
    accounts: u64,
    lines: HashMap<IdentityId, Line>,
    under_way: JoinSet<(IdentityId, Answer)>,
    /// Operations that nobody could take, which wait.
    parked: Vec<IdentityId>,
    tried: Tried,
}

impl Worker {
    pub(super) fn new(
        store: Store,
        clock: SharedClock,
        connector: Arc<dyn Connector>,
        target: Target,
        wake: Arc<Notify>,
    ) -> Self {
        let (lines, under_way, parked) = (HashMap::new(), JoinSet::new(), Vec::new());
        let (pace, rate, accounts, tried) = (Pace::default(), Rate::default(), 0, Tried::default());
        Self { store, clock, connector, target, wake, pace, rate, accounts, lines, under_way, parked, tried }
    }

    /// Works until the settings change, or the caller drops it.
    pub(super) async fn run(&mut self) -> Result<()> {
        self.resume().await?;
        loop {
            let (organization, id) = (self.target.provisioning.organization, self.target.id());
            if self.store.provisioning_stamp(organization, id).await? != self.target.stamp {
                // Another worker goes on by what holds now.
                return Ok(());
            }
            let more = self.fill().await?;
            let pause = if self.parked.is_empty() { Duration::from_secs(2) } else { UNREACHABLE };
            let pause =
                if more && self.under_way.is_empty() && self.parked.is_empty() { Duration::ZERO } else { pause };
            tokio::select! {
                Some(first) = self.under_way.join_next() => {
                    let mut answers = vec![first];
                    // Outcomes that are there already are written together.
                    while let Some(next) = self.under_way.try_join_next() {
                        answers.push(next);
                    }
                    // One that has panicked is sent again once its operation is taken up.
                    self.answered(answers.into_iter().filter_map(std::result::Result::ok).collect()).await?;
                }
                () = self.wake.notified(), if self.lines.len() + TOGETHER <= WINDOW => {}
                () = self.clock.sleep(pause) => self.unpark().await?,
            }
        }
    }

    /// Takes up the operations that the last worker of this target has left.
    async fn resume(&mut self) -> Result<()> {
        let organization = self.target.provisioning.organization;
        let since = pace::an_hour_before(self.clock.now());
        self.pace = Pace::of(self.store.recent_operations(organization, self.target.id(), since).await?);
        let directory = self.target.directory.id;
        self.accounts = self.store.count_present(organization, directory, AccountKind::User).await?;
        let open = self.store.open_operations(organization, self.target.id(), 10_000).await?;
        let mut lines: Vec<(IdentityId, Line)> = Vec::new();
        // What was asked for and not sent waits for its turn.
        let asked =
            |it: &Operation| passwords::ACTIONS.contains(&it.action.as_str()) && it.state == OperationState::Waiting;
        for operation in open.into_iter().filter(|operation| !asked(operation)) {
            let identity = operation.identity;
            match lines.last_mut() {
                Some((last, line)) if *last == identity => line.operations.push_back(operation),
                _ => {
                    // A password settles nothing that the mark stands for.
                    let mark = match operation.action.as_str() {
                        action if passwords::ACTIONS.contains(&action) => None,
                        _ => self.store.get_mark(organization, self.target.id(), identity).await?,
                    };
                    let (account, outbound, left) = self.account_of(&operation).await?;
                    let failed = mark.as_ref().is_some_and(|mark| mark.not_before > self.clock.now());
                    let operations = VecDeque::from([operation]);
                    lines.push((
                        identity,
                        Line { mark, outbound, account, left, operations, failed, own: 0, counted: false },
                    ));
                }
            }
        }
        for (identity, line) in lines {
            self.lines.insert(identity, line);
            self.parked.push(identity);
        }
        self.unpark().await
    }

    /// The account that an operation changes, whether it gets nothing from the target, and whether its user has left it.
    async fn account_of(&self, operation: &Operation) -> Result<(Option<AccountId>, bool, Left)> {
        let Some(account) = operation.account else { return Ok((None, true, Left::No)) };
        let (organization, id) = (self.target.provisioning.organization, self.target.id());
        let known = self.store.accounts_in(organization, id, &[operation.identity]).await?;
        let known = known.into_iter().find(|known| known.account.id == account);
        let left = known.as_ref().and_then(|known| known.left_at).map_or(Left::No, Left::Since);
        Ok((Some(account), known.is_none_or(|known| known.account.outbound), left))
    }

    /// Sends what waits, as new generations.
    async fn unpark(&mut self) -> Result<()> {
        let parked = std::mem::take(&mut self.parked);
        if parked.is_empty() {
            return Ok(());
        }
        self.note_others(&parked).await?;
        let mut tx = self.store.begin_identities(self.target.provisioning.organization, self.clock.now()).await?;
        for identity in &parked {
            if let Some(operation) = self.lines.get_mut(identity).and_then(|line| line.operations.front_mut()) {
                operation.generation += 1;
                tx.send_operation(operation.id, operation.generation).await?;
            }
        }
        tx.commit().await?;
        for identity in parked {
            self.send(identity);
        }
        Ok(())
    }

    /// Notes whose the entries are that have one of the names of an account that may have been made: theirs may look the same.
    async fn note_others(&mut self, parked: &[IdentityId]) -> Result<()> {
        for identity in parked {
            let Some(operation) = self.lines.get_mut(identity).and_then(|line| line.operations.front_mut()) else {
                continue;
            };
            let Some(mut step) = step(operation) else { continue };
            self.target.note_others(&mut step.change, *identity).await?;
            operation.content = serde_json::to_value(step).ok();
        }
        Ok(())
    }

    /// Takes up what is there to do, as long as there is room. Returns whether there may be more.
    async fn fill(&mut self) -> Result<bool> {
        if self.lines.len() >= WINDOW || !self.parked.is_empty() {
            return Ok(false);
        }
        self.take_asked().await?;
        self.take_approved().await?;
        self.take_due().await
    }

    /// Whether nothing is sent but plans and passwords.
    fn only_reports(&self) -> bool {
        self.target.settings.mode == Mode::Report
    }

    /// The groups whose members change because these users have left or are back.
    async fn groups_of(&self, users: &[IdentityId]) -> Result<Vec<IdentityId>> {
        let mut groups = Vec::new();
        if self.target.settings.leaving_then.remove_groups {
            for user in users {
                groups.extend(self.target.groups_above(user.as_uuid()).await?);
            }
        }
        Ok(groups)
    }

    /// How many more lines there may be now. The operations that follow in a line count, too.
    fn room(&mut self) -> usize {
        let most = self.target.settings.rate();
        let follow: usize = self.lines.values().map(|line| line.operations.len().saturating_sub(1)).sum();
        let rate = self.rate.room(most, self.clock.now()).saturating_sub(follow);
        WINDOW.saturating_sub(self.lines.len()).min(rate)
    }

    /// Sends the first operation of a line.
    fn send(&mut self, identity: IdentityId) {
        let Some(operation) = self.lines.get(&identity).and_then(|line| line.operations.front()) else { return };
        failpoint::reached("provisioning.stored");
        let request = self.request(operation);
        self.rate.sent(self.clock.now());
        let connector = Arc::clone(&self.connector);
        self.under_way.spawn(async move {
            let answer = match request {
                Ok(request) => connector.carry_out(&request).await,
                Err(failure) => Answer::Failed(failure, Duration::ZERO),
            };
            (identity, answer)
        });
    }

    fn request(&self, operation: &Operation) -> std::result::Result<Request, Failure> {
        let mut step = step(operation).ok_or_else(Failure::unexpected)?;
        if let (Some(_), Change::Update { both_changed, .. }) = (operation.plan, &mut step.change) {
            // A plan writes over nothing that it has not shown.
            *both_changed = BothChanged::TargetWins;
        }
        if let Some(refusal) = passwords::refusal(&step.change, self.target.settings.switches, self.clock.now()) {
            return Err(refusal);
        }
        let kind = match operation.identity {
            IdentityId::User(_) => AccountKind::User,
            IdentityId::Group(_) => AccountKind::Group,
        };
        let (id, generation, target) = (operation.id, operation.generation, operation.target);
        let target_name = self.target.directory.name.clone();
        Ok(Request { id, generation, target, target_name, kind, step })
    }
}

fn step(operation: &Operation) -> Option<Step> {
    operation.content.clone().and_then(|content: Value| serde_json::from_value(content).ok())
}

/// When to try again after so many failures.
fn later(now: Timestamp, failures: u32, longest: i64) -> Timestamp {
    let seconds = RETRY_FIRST.saturating_mul(1_i64.checked_shl(failures.min(20)).unwrap_or(i64::MAX)).min(longest);
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

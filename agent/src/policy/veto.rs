//! The site's answer to one operation: asked before anything is looked for, and again before anything is written. Each
//! answer stands in the agent's own log before it counts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_dn::Dn;
use postern_runtime::supervise::chain;

use super::change::{counted, kind_of};
use super::limits::{Counted, Limit, Refused};
use super::line::Line;
use super::records::Records;
use super::rules::{Broken, Rules};
use crate::command::Key;
use crate::failure::{Code, Failure};
use crate::served::write::{Denied, Done, Gate, Intent, Kind, Operation};

/// The log cannot be written. It is no key of the configuration.
const AUDIT_LOG: &str = "audit_log";

/// The site's answer to one operation.
#[derive(Debug)]
pub struct Veto {
    rules: Arc<Rules>,
    records: Option<Arc<Records>>,
    directory: String,
    kind: Kind,
    sets_password: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What is known of it so far.
    line: Line,
    /// What was permitted, as it stands in the log.
    permitted: Vec<(Kind, String, Option<String>)>,
    counted: BTreeSet<Counted>,
    /// The last thing that stands in the log of it is a refusal, or its end.
    is_over: bool,
}

impl Veto {
    pub(super) fn new(
        (rules, records): (Arc<Rules>, Option<Arc<Records>>),
        key: Key,
        directory: &str,
        operation: &Operation,
    ) -> Self {
        let (kind, sets_password) = kind_of(&operation.change);
        let line = Line::new(key, directory, kind.as_str(), operation);
        let state = State { line, permitted: Vec::new(), counted: BTreeSet::new(), is_over: false };
        Self { rules, records, directory: directory.to_owned(), kind, sets_password, state: Mutex::new(state) }
    }

    /// What is refused whatever the entry is: the directory is not even asked.
    pub fn beforehand(&self) -> Result<(), Denied> {
        let decided = self.rules.of_kind(self.kind, self.sets_password).map_err(denied);
        let mut state = self.state();
        let line = state.line.clone();
        decided.inspect_err(|denied| self.note_refusal(&mut state, line, denied))
    }

    /// Notes what became of it.
    pub fn ended(&self, result: &Result<Done, Failure>) {
        let mut state = self.state();
        let by_the_site = matches!(result, Err(failure) if failure.code == Code::DeniedBySitePolicy);
        if state.is_over && by_the_site {
            return;
        }
        state.is_over = true;
        self.note_end(state.line.clone().ended(result));
    }

    fn decide(&self, state: &mut State, intent: &Intent<'_>) -> Result<(), Denied> {
        self.rules.decide(intent).map_err(denied)?;
        let records = self.records.as_ref().ok_or_else(|| no_log("this agent has no folder for it"))?;
        let asked =
            counted(intent.kind, intent.sets_password).into_iter().filter(|counted| !state.counted.contains(counted));
        let counted: Vec<Counted> = asked.collect();
        let limit = |counted: &Counted| Some(Limit { counted: *counted, most: self.rules.limit(*counted)? });
        let limits: Vec<Limit> = counted.iter().filter_map(limit).collect();
        records.limits.take(&self.directory, &limits).map_err(used_up)?;
        state.counted.extend(counted);
        let what = (intent.kind, intent.dn.to_string(), intent.destination.map(ToString::to_string));
        if !state.permitted.contains(&what) {
            self.write(state.line.clone().permitted()).map_err(|error| no_log(&error))?;
            state.permitted.push(what);
        }
        Ok(())
    }

    fn note_refusal(&self, state: &mut State, line: Line, denied: &Denied) {
        state.is_over = true;
        self.note_end(line.denied(denied));
    }

    /// A line that nothing waits for.
    fn note_end(&self, line: Line) {
        if let Err(error) = self.write(line) {
            tracing::error!(error, "policy.audit_log_unusable: nothing is written to directories until it can be");
        }
    }

    fn write(&self, line: Line) -> Result<(), String> {
        let Some(records) = &self.records else { return Err("this agent has no folder for it".to_owned()) };
        records.audit.append(&line.at(records.now())).map_err(|error| chain(&error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate for Veto {
    fn protected_groups(&self) -> &[Dn] {
        self.rules.protected_groups()
    }

    fn permit(&self, intent: &Intent<'_>) -> Result<(), Denied> {
        let mut state = self.state();
        state.line = state.line.about(intent);
        let decided = self.decide(&mut state, intent);
        let line = state.line.clone();
        decided.inspect_err(|denied| self.note_refusal(&mut state, line, denied))
    }
}

/// An operation that was permitted and then stopped: whether it was done is not known here.
impl Drop for Veto {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !state.is_over && !state.permitted.is_empty() {
            let line = state.line.clone().unknown();
            self.note_end(line);
        }
    }
}

fn denied(broken: Broken) -> Denied {
    Denied { rule: broken.rule.to_owned(), detail: Some(broken.because), for_now: false }
}

fn used_up(refused: Refused) -> Denied {
    let (rule, detail) = match refused {
        Refused::UsedUp(counted) => (counted.rule(), "the limit is used up".to_owned()),
        Refused::Unkept(counted, reason) => (counted.rule(), format!("what is used up cannot be kept: {reason}")),
    };
    Denied { rule: rule.to_owned(), detail: Some(detail), for_now: true }
}

fn no_log(reason: &str) -> Denied {
    Denied { rule: AUDIT_LOG.to_owned(), detail: Some(format!("it cannot be written: {reason}")), for_now: true }
}

#[cfg(test)]
mod tests;

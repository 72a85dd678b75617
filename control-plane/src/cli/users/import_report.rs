//! What `postern users import` prints: a line for each user that changes or is refused, and a summary.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::super::api::bulk_users::{BulkAnswer, BulkOutcome, BulkResult};
use super::super::error::Error;
use super::super::screen::{Screen, plain};
use super::csv_file::Line;

/// How many users became what, and where the import is.
#[derive(Debug)]
pub(super) struct ImportReport {
    apply: bool,
    created: u64,
    changed: u64,
    unchanged: u64,
    refused: u64,
    /// The last line that was answered.
    last: Option<u64>,
    /// The lines for scripts, without those that change nothing.
    lines: Vec<Value>,
}

impl ImportReport {
    pub(super) fn new(apply: bool) -> Self {
        Self { apply, created: 0, changed: 0, unchanged: 0, refused: 0, last: None, lines: Vec::new() }
    }

    /// How many lines were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Prints what became of the lines of one request.
    pub(super) fn add(&mut self, batch: &[Line], answer: BulkAnswer, screen: &mut Screen) -> Result<(), Error> {
        let mut results = answer.results.into_iter();
        for line in batch {
            let result = match &line.refused {
                Some(reason) => refused(reason.clone()),
                // Silence is no success.
                None => results.next().unwrap_or_else(|| refused("the control plane did not answer".to_owned())),
            };
            self.count(result.outcome);
            self.last = Some(line.number);
            if result.outcome == BulkOutcome::Unchanged {
                continue;
            }
            let name = &line.user.user_name;
            if screen.is_json() {
                self.lines.push(json!({ "line": line.number, "user_name": name, "result": result }));
            } else {
                screen.line(plain(&self.said(line.number, name, &result)))?;
            }
        }
        Ok(())
    }

    fn count(&mut self, outcome: BulkOutcome) {
        match outcome {
            BulkOutcome::Created => self.created += 1,
            BulkOutcome::Changed => self.changed += 1,
            BulkOutcome::Unchanged => self.unchanged += 1,
            BulkOutcome::Refused => self.refused += 1,
        }
    }

    /// An error that ends the import, with what was written before it.
    pub(super) fn stopped(&self, batch: &[Line], source: Error) -> Error {
        let lines: Vec<u64> = batch.iter().map(|line| line.number).collect();
        let (first, last) = (lines.first().copied().unwrap_or_default(), lines.last().copied().unwrap_or_default());
        let what = match (self.apply, self.last) {
            (false, _) => format!("lines {first} and later were not checked"),
            (true, None) if source.is_refusal() => "nothing was imported".to_owned(),
            (true, before) => {
                let before = before.map_or_else(String::new, |before| format!("the lines up to {before} are done; "));
                if source.is_refusal() {
                    format!("{before}line {first} and later are not imported")
                } else {
                    format!(
                        "{before}lines {first} to {last} may be imported or not, and later ones are not; run the \
                         command again, it changes nothing twice"
                    )
                }
            }
        };
        Error::Stopped { what, source: Box::new(source) }
    }

    /// Prints the summary.
    pub(super) fn end(&mut self, screen: &mut Screen) -> Result<(), Error> {
        let Self { apply, created, changed, unchanged, refused, .. } = *self;
        if screen.is_json() {
            return screen.json(&json!({
                "applied": apply, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused,
                "last_line": self.last, "lines": std::mem::take(&mut self.lines),
            }));
        }
        if apply {
            screen.line(format!("{created} created, {changed} changed, {unchanged} unchanged, {refused} refused."))
        } else {
            screen.line(format!(
                "Would create {created}, change {changed}, leave {unchanged} unchanged, refuse {refused}. Nothing was \
                 written; add --apply to write."
            ))
        }
    }

    fn said(&self, line: u64, name: &str, result: &BulkResult) -> String {
        let name = if name.is_empty() { "a user without a name" } else { name };
        let would = if self.apply { "" } else { "would be " };
        let what = match result.outcome {
            BulkOutcome::Created => "created".to_owned(),
            BulkOutcome::Changed => format!("changed; {}", changes(result)),
            BulkOutcome::Unchanged => "left unchanged".to_owned(),
            BulkOutcome::Refused => {
                format!("refused: {}", result.reason.as_deref().unwrap_or("no reason is given"))
            }
        };
        format!("line {line}: {name} {would}{what}")
    }
}

fn refused(reason: String) -> BulkResult {
    let (before, after) = (BTreeMap::new(), BTreeMap::new());
    BulkResult { outcome: BulkOutcome::Refused, id: None, reason: Some(reason), before, after }
}

fn changes(result: &BulkResult) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = |values: &BTreeMap<String, Value>, name| values.get(name).map_or("nothing".to_owned(), text);
    let mut fields: Vec<&String> = result.before.keys().chain(result.after.keys()).collect();
    fields.sort();
    fields.dedup();
    let changes = fields
        .into_iter()
        .map(|field| format!("{field}: {} -> {}", value(&result.before, field), value(&result.after, field)));
    changes.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bulk_users::BulkUser;

    fn lines(numbers: &[u64]) -> Vec<Line> {
        numbers
            .iter()
            .map(|number| Line { number: *number, user: BulkUser::default(), bytes: 1, refused: None })
            .collect()
    }

    #[test]
    fn an_import_that_stops_says_what_is_written() {
        let refusal = || Error::Usage("it is refused".to_owned());
        let lost = || Error::Foreign { url: "http://x".to_owned(), status: 502 };
        let mut report = ImportReport::new(true);
        let said = |report: &ImportReport, error| report.stopped(&lines(&[202, 401]), error).explain();
        assert_eq!(said(&report, refusal()), "nothing was imported: it is refused");
        assert!(said(&report, lost()).starts_with("lines 202 to 401 may be imported or not"));
        report.last = Some(201);
        assert!(said(&report, refusal()).starts_with("the lines up to 201 are done; line 202 and later are not"));
        assert!(said(&report, lost()).contains("done; lines 202 to 401 may be imported or not"));
        assert!(said(&ImportReport::new(false), lost()).starts_with("lines 202 and later were not checked"));
    }
}

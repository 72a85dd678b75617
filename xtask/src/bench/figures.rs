//! What a benchmark saw: rows of named figures, for people and for machines.

use std::fmt;
use std::time::Duration;

use postern_tests::process::Usage;
use serde::Serialize;

/// All rows of one run.
#[derive(Serialize)]
pub(crate) struct Figures {
    title: String,
    machine: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    what: String,
    figures: Vec<(String, f64)>,
}

impl Figures {
    /// An empty table.
    pub(crate) fn new(title: String) -> Self {
        Self { title, machine: machine(), rows: Vec::new() }
    }

    /// Adds a row and shows it at once on standard error: long runs are watched.
    pub(crate) fn row(&mut self, what: impl Into<String>, figures: &[(&str, f64)]) {
        let row = Row {
            what: what.into(),
            figures: figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect(),
        };
        eprintln!("{row}");
        self.rows.push(row);
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<34}", self.what)?;
        for (name, figure) in &self.figures {
            write!(f, "  {name} {figure:.2}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n{}", self.title, self.machine)?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores,{}", model.trim_start_matches(['\t', ' ', ':']).replacen("", " ", 1))
}

/// Processor seconds between two looks at a process.
pub(crate) fn cpu_between(before: &Usage, after: &Usage) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64()
}

/// Bytes as MB (10^6).
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The value below which a share of the sorted durations lies, in milliseconds.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
pub(crate) fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(rank).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

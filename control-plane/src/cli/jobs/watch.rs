//! Watches a job until it ends: by server-sent events, or by asking every second if they do not arrive.

use std::io::Write as _;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use postern_engine::records::{JobId, JobState};
use postern_runtime::clock::{Clock as _, SystemClock};

use super::super::super::api::jobs::JobView;
use super::super::client::Client;
use super::super::error::Error;
use super::super::list::Found;
use super::super::screen::{plain, word};

/// How often to ask if events do not arrive.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a restarting control plane may be unreachable.
const PATIENCE: Duration = Duration::from_mins(2);
/// Without a progress bar, progress is printed at most this often.
const SILENCE: SignedDuration = SignedDuration::from_secs(15);
/// Longest line of an event stream that is accepted.
const MAX_LINE_BYTES: usize = 1024 * 1024;
const BAR: &str = "{spinner} {msg} {wide_bar} {human_pos}/{human_len}  {eta} left";
const SPINNER: &str = "{spinner} {msg} {human_pos} entries";

/// Returns the job when it ends or needs a decision. `expected` entries fill the bar, by default as many as the last
/// import read.
pub(super) async fn until_end(client: &Client, id: JobId, expected: Option<u64>) -> Result<JobView, Error> {
    let first: JobView = client.get(&format!("jobs/{id}"), &[]).await?;
    let mut display = Display::new(match expected.filter(|entries| *entries > 0) {
        Some(entries) => Some(entries),
        None => as_last_time(client, &first).await,
    });
    display.show(&first);
    let mut job = first;
    let mut away = Duration::ZERO;
    while !is_over(job.state) {
        // The stream ends with the job or the server, or never opens; in the last two cases ask, then open it again.
        if let Ok(response) = client.events(&format!("jobs/{id}/events")).await {
            let mut events = std::pin::pin!(events(response.bytes_stream().map(|piece| piece.map_err(drop))));
            while let Some(next) = events.next().await {
                display.show(&next);
                job = next;
                away = Duration::ZERO;
                if is_over(job.state) {
                    break;
                }
            }
        }
        if is_over(job.state) {
            break;
        }
        SystemClock.sleep(ASK_INTERVAL).await;
        match client.get(&format!("jobs/{id}"), &[]).await {
            Ok(next) => {
                job = next;
                away = Duration::ZERO;
                display.show(&job);
            }
            Err(Error::Refused(document)) if document.status < 500 => return Err(Error::Refused(document)),
            Err(error) if away >= PATIENCE => return Err(error),
            Err(_) => away += ASK_INTERVAL,
        }
    }
    display.clear();
    Ok(job)
}

fn is_over(state: JobState) -> bool {
    state.is_final() || state == JobState::Held
}

/// How many entries the last import read.
async fn as_last_time(client: &Client, job: &JobView) -> Option<u64> {
    let kind = job.kind.kind()?;
    let count = kind.counts()?;
    let query = [
        ("directory", job.directory.id.to_string()),
        ("kind", kind.name().to_owned()),
        ("state", word(&JobState::Succeeded)),
    ];
    let last: Found<JobView> = client.list("jobs", &query, Some(1)).await.ok()?;
    count(last.items.first()?.result.as_ref()?).filter(|entries| *entries > 0)
}

/// The jobs in an event stream.
fn events<E>(pieces: impl Stream<Item = Result<bytes::Bytes, E>>) -> impl Stream<Item = JobView> {
    let pieces = Box::pin(pieces);
    futures_util::stream::unfold((pieces, Vec::new()), |(mut pieces, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if let Some(job) = job_of(&line) {
                    return Some((job, (pieces, buffer)));
                }
                continue;
            }
            let piece = pieces.next().await?.ok()?;
            buffer.extend_from_slice(&piece);
            if buffer.len() > MAX_LINE_BYTES {
                return None;
            }
        }
    })
}

fn job_of(line: &[u8]) -> Option<JobView> {
    serde_json::from_slice(line.strip_prefix(b"data:")?).ok()
}

/// A progress bar on standard error. Without a terminal, a line for each change of the state or the message.
struct Display {
    bar: ProgressBar,
    lines: Lines,
}

/// The last line, to print no line twice.
#[derive(Default)]
struct Lines {
    last: String,
    said_at: Option<Timestamp>,
    entries: u64,
}

impl Lines {
    /// The next line about a job, if there is something new.
    fn next(&mut self, job: &JobView, now: Timestamp) -> Option<String> {
        let doing = match (&job.message, &job.progress.phase) {
            (Some(message), _) => format!("{}: {}", word(&job.state), plain(message)),
            (None, Some(phase)) if job.state == JobState::Running => format!("running: {}", plain(phase)),
            (None, _) => word(&job.state),
        };
        let entries = job.progress.entries_read;
        let silent = self.said_at.is_none_or(|at| now.duration_since(at) >= SILENCE);
        if doing == self.last && (entries == self.entries || !silent) {
            return None;
        }
        self.last.clone_from(&doing);
        (self.said_at, self.entries) = (Some(now), entries);
        let read = if entries > 0 { format!(", {entries} entries read") } else { String::new() };
        Some(format!("job {} is {doing}{read}", job.id))
    }
}

impl Display {
    fn new(expected: Option<u64>) -> Self {
        let bar = expected.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if expected.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: Lines::default() }
    }

    fn show(&mut self, job: &JobView) {
        if self.bar.is_hidden() {
            if let Some(line) = self.lines.next(job, SystemClock.now()) {
                // If standard error is closed, nobody reads the progress.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            return;
        }
        let progress = &job.progress;
        // A directory that has grown must not stay at 100 %.
        if self.bar.length().is_some_and(|length| length < progress.entries_read) {
            self.bar.set_length(progress.entries_read);
        }
        self.bar.set_position(progress.entries_read);
        let doing = match (job.state, &job.message, &progress.phase) {
            (JobState::Running, _, Some(phase)) => format!("{phase}, {:.0} entries/s", progress.rate_per_second),
            (_, Some(message), _) => plain(message),
            (state, None, _) => word(&state),
        };
        self.bar.set_message(doing);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_put_together_from_pieces() {
        let job = super::super::super::tests::sample_job();
        let text = format!(": hello\n\nevent: job\nid: 1\ndata: {}\n\n", serde_json::to_string(&job).unwrap());
        let pieces: Vec<Result<bytes::Bytes, ()>> =
            text.as_bytes().chunks(7).map(|piece| Ok(bytes::Bytes::copy_from_slice(piece))).collect();
        let next: Vec<JobView> = events(futures_util::stream::iter(pieces)).collect().await;
        assert_eq!(next, [job]);
    }

    #[test]
    fn without_a_terminal_each_change_is_a_line() {
        let mut job = super::super::super::tests::sample_job();
        job.state = JobState::Queued;
        job.message = Some("Waits for job 7.".to_owned());
        let mut lines = Lines::default();
        let now = job.created_at;
        let read = ", 500 entries read";
        assert_eq!(lines.next(&job, now).unwrap(), format!("job {} is queued: Waits for job 7.{read}", job.id));
        assert_eq!(lines.next(&job, now), None);
        job.state = JobState::Running;
        job.message = None;
        job.progress.phase = Some("users".to_owned());
        assert_eq!(lines.next(&job, now).unwrap(), format!("job {} is running: users{read}", job.id));
        job.progress.entries_read += 1;
        assert_eq!(lines.next(&job, now), None);
        // A long import prints its progress from time to time, and only if there is some.
        let later = now + SILENCE;
        assert_eq!(lines.next(&job, later).unwrap(), format!("job {} is running: users, 501 entries read", job.id));
        assert_eq!(lines.next(&job, later + SILENCE), None);
    }

    #[tokio::test]
    async fn a_cut_stream_just_ends() {
        let pieces: Vec<Result<bytes::Bytes, ()>> = vec![Ok("data: {\"id\"".into()), Err(())];
        assert_eq!(events(futures_util::stream::iter(pieces)).count().await, 0);
    }
}

//! No place in the program writes more lines than people can read. Whoever can make a program write a line (a guess of a
//! token, a hostile control plane) could else fill the disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::format::Format;

/// Lines that one place may write at once.
const BURST: f64 = 200.0;
/// And in each second after that.
const PER_SECOND: f64 = 5.0;

/// Formats as the inner one does, and leaves out what is too much. The next line of the same place says how many lines
/// were left out. Lines for debugging are not limited: somebody has asked for them.
pub(super) struct Limited<F> {
    inner: F,
    format: Format,
    places: Places,
}

impl<F> Limited<F> {
    pub(super) fn new(inner: F, format: Format) -> Self {
        Self { inner, format, places: Places::default() }
    }

    /// One line about lines that were left out, in the form of the others.
    fn tell(&self, mut writer: Writer<'_>, count: u64, place: &Metadata<'_>) -> fmt::Result {
        let (now, level, target) = (Timestamp::now(), place.level(), place.target());
        let line = place.line().unwrap_or_default();
        match self.format {
            Format::Text => {
                writeln!(writer, "{now} {level:>5} {target}: log.left_out: too many lines like the next count={count}")
            }
            Format::Json => writeln!(
                writer,
                r#"{{"timestamp":"{now}","level":"{level}","message":"log.left_out: too many lines like the next","count":{count},"line":{line},"target":"{target}"}}"#
            ),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let place = event.metadata();
        if *place.level() <= Level::INFO {
            match self.places.count(place.callsite(), Instant::now()) {
                Verdict::LeaveOut => return Ok(()),
                Verdict::Write { left_out: 0 } => {}
                Verdict::Write { left_out } => self.tell(writer.by_ref(), left_out, place)?,
            }
        }
        self.inner.format_event(context, writer, event)
    }
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Write { left_out: u64 },
    LeaveOut,
}

/// How much each place has written. There are as many as the program has lines of code that log.
#[derive(Default)]
struct Places(Mutex<HashMap<Identifier, Place>>);

struct Place {
    left: f64,
    at: Instant,
    left_out: u64,
}

impl Places {
    fn count(&self, place: Identifier, now: Instant) -> Verdict {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(Place { left: BURST, at: now, left_out: 0 });
        place.left = (place.left + now.duration_since(place.at).as_secs_f64() * PER_SECOND).min(BURST);
        place.at = now;
        if place.left < 1.0 {
            place.left_out += 1;
            return Verdict::LeaveOut;
        }
        place.left -= 1.0;
        Verdict::Write { left_out: std::mem::take(&mut place.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_place_that_writes_too_much_is_cut_short_and_the_others_are_not() {
        let log = Log::default();
        let inner = tracing_subscriber::fmt::format();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log.clone())
            .event_format(Limited::new(inner, Format::Text))
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        for number in 0..50_000 {
            tracing::warn!(number, "guess");
        }
        tracing::info!("other");
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let guesses = text.lines().filter(|line| line.contains("guess")).count();
        // A slow machine takes seconds for as many, and some more are written in them.
        assert!((200..1_000).contains(&guesses), "{guesses} of 50,000 lines were written");
        assert!(text.lines().any(|line| line.contains("other")));
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let (places, now) = (Places::default(), Instant::now());
        let place = tracing::info_span!("place").metadata().map(Metadata::callsite);
        // Without a subscriber there is no span to take it from, and nothing to test.
        let Some(place) = place else { return };
        for _ in 0..200 {
            assert_eq!(places.count(place.clone(), now), Verdict::Write { left_out: 0 });
        }
        assert_eq!(places.count(place.clone(), now), Verdict::LeaveOut);
        assert_eq!(places.count(place.clone(), now), Verdict::LeaveOut);
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(places.count(place, later), Verdict::Write { left_out: 2 });
    }
}

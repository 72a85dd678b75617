//! The liveness of one session.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use jiff::Timestamp;

use postern_engine::jobs::reach::ToAgent;

/// Checks in a row without a frame after which an agent counts as gone.
const SILENT_LOOKS: u32 = 3;

/// Checks after which a session must reconnect with its renewed certificate.
const RENEWAL_LOOKS: u32 = 2;

/// The liveness of one session, and how long it may last.
#[derive(Debug)]
pub(super) struct Pulse {
    heard: AtomicBool,
    silent: AtomicU32,
    certificate_end: Timestamp,
    /// Checks until the session must reconnect with a renewed certificate; 0: no renewal is pending.
    renewal: AtomicU32,
}

impl Pulse {
    /// The pulse of a session that has just opened.
    pub(super) fn new(certificate_end: Timestamp) -> Self {
        Self { heard: AtomicBool::new(true), silent: AtomicU32::new(0), certificate_end, renewal: AtomicU32::new(0) }
    }

    /// The agent has sent a frame.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// The agent received a new certificate. By the second check it has stored it and must use it.
    pub(super) fn renewed(&self) {
        self.renewal.store(RENEWAL_LOOKS, Ordering::Relaxed);
    }

    /// One check: the reason to end the session, if there is one.
    pub(super) fn look(&self, now: Timestamp) -> Option<ToAgent> {
        if self.heard.swap(false, Ordering::Relaxed) {
            self.silent.store(0, Ordering::Relaxed);
        } else if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_LOOKS {
            return Some(ToAgent::Silent);
        }
        if now >= self.certificate_end {
            return Some(ToAgent::CertificateExpired);
        }
        let awaited = self.renewal.load(Ordering::Relaxed);
        self.renewal.store(awaited.saturating_sub(1), Ordering::Relaxed);
        (awaited == 1).then_some(ToAgent::CertificateRenewed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn three_looks_without_a_word_end_a_session_and_a_word_begins_anew() {
        let pulse = Pulse::new(NOW + Duration::from_secs(1));
        for _ in 0..3 {
            assert!(pulse.look(NOW).is_none());
        }
        pulse.heard();
        for _ in 0..3 {
            assert!(pulse.look(NOW).is_none());
        }
        assert!(matches!(pulse.look(NOW), Some(ToAgent::Silent)));
    }

    #[test]
    fn a_session_is_opened_anew_once_after_a_renewal() {
        let pulse = Pulse::new(NOW + Duration::from_secs(1));
        pulse.renewed();
        let look = || {
            pulse.heard();
            pulse.look(NOW)
        };
        assert!(look().is_none());
        assert!(matches!(look(), Some(ToAgent::CertificateRenewed)));
        assert!(look().is_none());
    }

    #[test]
    fn a_session_ends_with_its_certificate() {
        let pulse = Pulse::new(NOW);
        assert!(matches!(pulse.look(NOW), Some(ToAgent::CertificateExpired)));
    }
}

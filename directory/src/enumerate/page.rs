//! Pages of entries, and when one is full.

use std::collections::BTreeSet;

use crate::entry::{Entry, Unusable};
use crate::error::Phase;

/// A page ends early at this size, so that groups with very many members do not pile up.
const PAGE_BYTES: usize = 1024 * 1024;

/// Most users of a page that are named because their switch is unknown.
const MOST_SAMPLES: usize = 20;

/// Some entries, in the server's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// What the entries are.
    pub phase: Phase,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Entries that cannot be imported, and why.
    pub unusable: Vec<Unusable>,
    /// Referrals seen on the way and not chased.
    pub referrals: u64,
    /// Users whose switch is unknown.
    pub unknown_switches: u64,
    /// The attributes that cannot be read for them.
    pub unreadable: BTreeSet<&'static str>,
    /// DNs of some of them, each with its attribute.
    pub unknown_samples: Vec<String>,
    /// Entries that were left out, or whose members were not read, and why.
    pub remarks: Vec<Unusable>,
}

impl Page {
    /// An empty one.
    pub fn new(phase: Phase) -> Self {
        let (entries, unusable, remarks) = (Vec::new(), Vec::new(), Vec::new());
        let (unreadable, unknown_samples) = (BTreeSet::new(), Vec::new());
        Self { phase, entries, unusable, referrals: 0, unknown_switches: 0, unreadable, unknown_samples, remarks }
    }

    /// Counts a user whose switch is unknown, because this attribute cannot be read.
    pub fn note_unknown_switch(&mut self, dn: &str, attribute: &'static str) {
        self.unknown_switches += 1;
        self.unreadable.insert(attribute);
        if self.unknown_samples.len() < MOST_SAMPLES {
            self.unknown_samples.push(format!("{dn}: {attribute}"));
        }
    }
}

/// The page that is being filled.
pub(super) struct Filling {
    pub(super) page: Page,
    pub(super) bytes: usize,
    capacity: usize,
}

impl Filling {
    pub(super) fn new(phase: Phase, capacity: usize) -> Self {
        Self { page: Page::new(phase), bytes: 0, capacity }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.page.entries.is_empty()
            && self.page.unusable.is_empty()
            && self.page.remarks.is_empty()
            && self.page.referrals == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= PAGE_BYTES
            || self.page.entries.len() + self.page.unusable.len() + self.page.remarks.len() >= self.capacity
    }

    pub(super) fn take(&mut self) -> Page {
        let next = Self::new(self.page.phase, self.capacity);
        std::mem::replace(self, next).page
    }
}

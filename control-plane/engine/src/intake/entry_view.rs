//! An entry of a chunk as a view of attributes, and conversions from the wire's types to the store's.

use jiff::Timestamp;
use postern_proto::chunk::{self, EntryView};
use postern_store::{MemberForm, Switch};

use crate::identity::view::AttributeView;

impl AttributeView for EntryView<'_> {
    fn columns(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &[u8]>)> {
        EntryView::columns(self)
    }

    fn external_id(&self) -> &str {
        self.external_id
    }

    fn dn(&self) -> Option<&str> {
        Some(self.dn)
    }

    fn login(&self) -> Option<&str> {
        self.unique_value
    }

    /// A time beyond the calendar is no expiry.
    fn switch(&self) -> Switch {
        match self.switch {
            chunk::Switch::Unknown => Switch::Unknown,
            chunk::Switch::On => Switch::On,
            chunk::Switch::Off => Switch::Off,
            chunk::Switch::OnUntil(end) => {
                let end = i64::try_from(end).ok().and_then(|end| Timestamp::from_second(end).ok());
                end.map_or(Switch::On, Switch::OnUntil)
            }
        }
    }
}

/// Converts how members are named.
pub(super) fn stored_form(form: chunk::MemberForm) -> MemberForm {
    match form {
        chunk::MemberForm::Dn => MemberForm::Dn,
        chunk::MemberForm::UniqueValue => MemberForm::UniqueValue,
        chunk::MemberForm::GroupNames => MemberForm::GroupNames,
    }
}

#[cfg(test)]
mod tests {
    use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind};

    use super::*;

    #[test]
    fn a_time_beyond_all_calendars_is_no_end() {
        let of = |switch| {
            let mut writer = ChunkWriter::new(chunk::MemberForm::Dn);
            let mut entry = writer.entry(Kind::User, "id", "uid=a,dc=x", Some("a"));
            entry.switch(switch);
            entry.finish();
            let payload = writer.finish();
            ChunkReader::parse(&payload).unwrap().next_entry().unwrap().map(|entry| AttributeView::switch(&entry))
        };
        let until = |second| Some(Switch::OnUntil(Timestamp::from_second(second).unwrap()));
        assert_eq!(of(chunk::Switch::OnUntil(1_800_000_000)), until(1_800_000_000));
        assert_eq!(of(chunk::Switch::OnUntil(0)), until(0));
        assert_eq!(of(chunk::Switch::OnUntil(u64::MAX)), Some(Switch::On));
        assert_eq!(of(chunk::Switch::Unknown), Some(Switch::Unknown));
        assert_eq!(of(chunk::Switch::Off), Some(Switch::Off));
    }
}

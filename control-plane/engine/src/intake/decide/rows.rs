//! The row of an entry: its account, and its user or group.

use jiff::Timestamp;
use postern_proto::chunk::{EntryView, Kind, MemberForm};
use postern_store::{AccountId, ExternalKey, GroupId, GroupRow, KnownAccount, NewAccount, UserId, UserRow};

use crate::identity::mapping::rules::Failed;
use crate::identity::mapping::{self, MappedGroup, MappedUser, Mapping};
use crate::identity::membership;
use crate::identity::view::AttributeView;
use crate::intake::decided::{Row, Wanted};
use crate::intake::entry_view::stored_form;
use crate::intake::group_name;
use crate::intake::keys::stored;
use crate::intake::place::Place;
use crate::intake::reading::Skips;

/// What the entries of a chunk share.
pub(super) struct Common {
    pub(super) place: Place,
    pub(super) mapping: Mapping,
    pub(super) member_form: MemberForm,
    pub(super) now: Timestamp,
    pub(super) skips: Skips,
}

impl Skips {
    /// Whether entries of a kind change no user and no group.
    pub(super) fn of(self, kind: Kind) -> bool {
        match kind {
            Kind::User => self.users,
            Kind::Group => self.groups,
        }
    }
}

/// An entry of a chunk.
pub(super) struct Entry<'e> {
    pub(super) key: ExternalKey,
    pub(super) view: EntryView<'e>,
    /// See `state`.
    pub(super) state: [u8; 16],
}

/// The row of an entry that is new or changed.
pub(super) fn row(common: &Common, entry: &Entry<'_>, known: Option<&KnownAccount>) -> Row {
    let &Common { place, ref mapping, member_form, now, skips } = common;
    let view = &entry.view;
    let current = known.and_then(|known| known.identity);
    let (identity, attributes, failed) = match view.kind {
        Kind::User => {
            let (mut user, attributes) = mapping.user(view, now);
            let failed = std::mem::take(&mut user.failed);
            let other_names = known.map_or_else(Vec::new, |_| mapping.other_logins(view));
            (Wanted::User(Box::new(wanted(place, user, now)), other_names), attributes, failed)
        }
        Kind::Group => {
            let id = current.map_or_else(GroupId::new, GroupId::from_uuid);
            let (mut mapped, attributes) = mapping.group(view);
            let failed = std::mem::take(&mut mapped.failed);
            let members = membership::member_keys(stored_form(member_form), view.members());
            (Wanted::Group(Box::new(group_row(place, id, mapped, now)), members), attributes, failed)
        }
    };
    let dn = mapping::printable(view.dn);
    let account = NewAccount {
        id: known.map_or_else(AccountId::new, |known| known.id),
        kind: stored(view.kind),
        external_key: entry.key.clone(),
        dn_key: membership::dn_key(&dn),
        dn: dn.into_owned(),
        unique_value: mapping::login(view).map(|value| mapping::printable(value).into_owned()),
        attributes,
        hash: entry.state,
        identity: current,
        // Any text keeps the mark: for a group, writing replaces it by the group's name.
        conflict: known.filter(|known| known.conflict && known.identity.is_some()).map(|_| String::new()),
        switch: view.switch(),
    };
    let returning = known.is_some_and(|known| known.missing);
    let former = known.and_then(|known| known.former_user);
    let skipped = skips.of(view.kind);
    let names_groups = view.kind == Kind::User && member_form == MemberForm::GroupNames && !skipped && !skips.groups;
    let named = names_groups.then(|| group_name::names(view.members()));
    let outbound = skipped || known.is_some_and(|known| known.outbound);
    Row { account, new: known.is_none(), outbound, returning, former, identity, name_is_free: false, failed, named }
}

/// The user of an entry, without a name key if the entry has no login, and the rules that failed. These leave their
/// targets to the default mapping.
pub fn user(place: Place, mapping: &Mapping, view: &impl AttributeView, now: Timestamp) -> (UserRow, Vec<Failed>) {
    let (mut mapped, _) = mapping.user(view, now);
    let failed = std::mem::take(&mut mapped.failed);
    (wanted(place, mapped, now), failed)
}

/// The group of an entry, and the rules that failed.
pub fn group(
    place: Place,
    id: GroupId,
    mapping: &Mapping,
    view: &impl AttributeView,
    now: Timestamp,
) -> (GroupRow, Vec<Failed>) {
    let (mut mapped, _) = mapping.group(view);
    let failed = std::mem::take(&mut mapped.failed);
    (group_row(place, id, mapped, now), failed)
}

fn wanted(place: Place, mapped: MappedUser<'_>, now: Timestamp) -> UserRow {
    let user_name = mapped.user_name.unwrap_or_default().trim().to_owned();
    let text = |value: Option<std::borrow::Cow<'_, str>>| value.map(std::borrow::Cow::into_owned);
    UserRow {
        id: UserId::new(),
        organization: place.organization,
        name_key: postern_store::fold(&user_name),
        user_name,
        given_name: text(mapped.given_name),
        family_name: text(mapped.family_name),
        display_name: text(mapped.display_name),
        email: text(mapped.email),
        active: mapped.active,
        attributes: mapped.attributes,
        created_at: now,
        updated_at: now,
        missing_since: None,
    }
}

fn group_row(place: Place, id: GroupId, mapped: MappedGroup<'_>, now: Timestamp) -> GroupRow {
    GroupRow {
        id,
        organization: place.organization,
        display_name: mapped.display_name.into_owned(),
        description: mapped.description.map(std::borrow::Cow::into_owned),
        created_at: now,
        updated_at: now,
        missing_since: None,
    }
}

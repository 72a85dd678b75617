//! Walking a chunk without copying its entries.

use std::sync::Arc;

use super::{Kind, LAYOUT, MemberForm, Switch};
use crate::{limits, varint};

/// Why a chunk cannot be read: it has another layout, or it was damaged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte names a layout of another release.
    #[error("the chunk has layout {0}, this release reads layout {LAYOUT}")]
    Layout(u8),
    /// The named part is missing, cut short or impossible.
    #[error("the chunk's {0} is cut short or impossible")]
    Malformed(&'static str),
    /// The named part must be text.
    #[error("the chunk's {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// There is more of the named part than both ends have agreed on, see [`limits`].
    #[error("the chunk's {what} is beyond its limit of {limit}")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// What is allowed.
        limit: usize,
    },
}

/// What an entry costs a reader at the least, beside its own bytes: see [`ChunkReader::weight`].
const ENTRY_WEIGHT: usize = 1 << 10;
/// What a value or a member costs a reader beside its own bytes.
const VALUE_WEIGHT: usize = 64;
/// What a value costs that may become a group.
const GROUP_NAME_WEIGHT: usize = 256;
/// What a byte of an attribute may become: it is kept as JSON, and as a field of a user.
const BYTE_WEIGHT: usize = 3;
/// No entry has fewer lengths: its kind, three ids, how many attributes and members it has, and its switch.
const LEAST_LENGTHS: usize = 7;

fn within(what: &'static str, found: usize, limit: usize) -> Result<usize, DecodeError> {
    if found > limit { Err(DecodeError::TooLarge { what, limit }) } else { Ok(found) }
}

/// From this size on an entry is not copied in order to be hashed.
const LARGE_BYTES: usize = 16 << 10;

/// Hash over all lengths and names, then over all bytes, of one entry. Used by both ends.
pub(super) fn content_hash(canonical: &mut Vec<u8>, blob: &[u8]) -> [u8; 32] {
    if blob.len() > LARGE_BYTES {
        return *blake3::Hasher::new().update(canonical).update(blob).finalize().as_bytes();
    }
    // One contiguous input is quicker than an incremental hasher at these sizes.
    canonical.extend_from_slice(blob);
    *blake3::hash(canonical).as_bytes()
}

/// Walks the entries of one chunk.
#[derive(Debug)]
pub struct ChunkReader<'a> {
    member_form: MemberForm,
    names: Arc<[&'a str]>,
    entries: usize,
    read: usize,
    lengths: &'a [u8],
    blob: &'a [u8],
    canonical: Vec<u8>,
    weight: usize,
    name_bytes: usize,
    value_bytes: usize,
    group_names: usize,
}

impl<'a> ChunkReader<'a> {
    /// Reads the head of a chunk; the entries are checked one by one as they are walked. Whatever a chunk says of its
    /// own size is checked against what is there, and against [`limits`], before anything is allocated for it.
    pub fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = payload;
        match take_byte(&mut rest).ok_or(DecodeError::Malformed("layout"))? {
            LAYOUT => {}
            other => return Err(DecodeError::Layout(other)),
        }
        let member_form = match take_byte(&mut rest) {
            Some(0) => MemberForm::Dn,
            Some(1) => MemberForm::UniqueValue,
            Some(2) => MemberForm::GroupNames,
            _ => return Err(DecodeError::Malformed("member form")),
        };
        let names = take_names(&mut rest)?;
        let entries = varint::take_len(&mut rest).ok_or(DecodeError::Malformed("entry count"))?;
        let lengths = take_sized(&mut rest).ok_or(DecodeError::Malformed("table of lengths"))?;
        within("entry count", entries, limits::MAX_CHUNK_ENTRIES)?;
        if entries.saturating_mul(LEAST_LENGTHS) > lengths.len() {
            return Err(DecodeError::Malformed("entry count"));
        }
        let value_weight = if member_form == MemberForm::GroupNames { GROUP_NAME_WEIGHT } else { VALUE_WEIGHT };
        let weight = weight(payload.len(), entries, (lengths.len(), value_weight), &names);
        Ok(Self {
            member_form,
            names: names.into(),
            entries,
            read: 0,
            lengths,
            blob: rest,
            canonical: Vec::new(),
            weight,
            name_bytes: 0,
            value_bytes: 0,
            group_names: 0,
        })
    }

    /// About how many bytes of memory a reader takes that keeps all that the chunk says, the payload apart. Known from
    /// the head alone, so that it can be waited for before an entry is walked.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many entries the chunk says that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether the chunk holds no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The names of all attributes in this chunk; [`EntryView::columns`] refers to them by index.
    #[must_use]
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// What the members of the entries in this chunk are.
    #[must_use]
    pub fn member_form(&self) -> MemberForm {
        self.member_form
    }

    /// The next entry, checked in all its parts; `None` after the last.
    pub fn next_entry(&mut self) -> Result<Option<EntryView<'a>>, DecodeError> {
        if self.read == self.entries {
            let whole = self.lengths.is_empty() && self.blob.is_empty();
            return if whole { Ok(None) } else { Err(DecodeError::Malformed("end")) };
        }
        self.read += 1;
        self.canonical.clear();
        let start = self.lengths;
        let kind = match take_byte(&mut self.lengths) {
            Some(0) => Kind::User,
            Some(1) => Kind::Group,
            _ => return Err(DecodeError::Malformed("entry kind")),
        };
        let mut blob = self.blob;
        let external_id = self.take_text("external id", 0, limits::MAX_EXTERNAL_ID_BYTES)?.unwrap_or_default();
        let dn = self.take_text("DN", 0, limits::MAX_DN_BYTES)?.unwrap_or_default();
        let unique_value = self.take_text("unique value", 1, limits::MAX_UNIQUE_VALUE_BYTES)?;
        self.canonical.extend_from_slice(&start[..start.len() - self.lengths.len()]);

        let attributes = self.take_attributes()?;
        self.canonical.push(0xff);
        let tail = self.lengths;
        let most = if kind == Kind::User { limits::MAX_GROUPS_OF_USER } else { limits::MAX_MEMBERS };
        let members = self.take_values("members", most, limits::MAX_DN_BYTES)?;
        if kind == Kind::User {
            self.group_names += members.len();
            within("names of groups", self.group_names, limits::MAX_CHUNK_GROUP_NAMES)?;
        }
        let switch = take_switch(&mut self.lengths).ok_or(DecodeError::Malformed("switch"))?;
        self.canonical.extend_from_slice(&tail[..tail.len() - self.lengths.len()]);
        let used = blob.len() - self.blob.len();
        blob = &blob[..used];
        let hash = content_hash(&mut self.canonical, blob);
        Ok(Some(EntryView { kind, external_id, dn, unique_value, switch, hash, attributes, members }))
    }

    /// A text of the blob; a length of `absent` 1 means that 0 stands for "none" and all else is one more.
    fn take_text(&mut self, what: &'static str, absent: usize, limit: usize) -> Result<Option<&'a str>, DecodeError> {
        let length = varint::take_len(&mut self.lengths).ok_or(DecodeError::Malformed(what))?;
        let Some(length) = length.checked_sub(absent) else { return Ok(None) };
        within(what, length, limit)?;
        let bytes = take_bytes(&mut self.blob, length).ok_or(DecodeError::Malformed(what))?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| DecodeError::NotUtf8(what))
    }

    fn take_attributes(&mut self) -> Result<Attributes<'a>, DecodeError> {
        let malformed = DecodeError::Malformed("attributes");
        let Some(count) = varint::take_len(&mut self.lengths) else { return Err(malformed) };
        within("attributes of an entry", count, limits::MAX_NAMES)?;
        let (lengths, blob) = (self.lengths, self.blob);
        for _ in 0..count {
            let name = varint::take_len(&mut self.lengths).and_then(|place| self.names.get(place).copied());
            let Some(name) = name else { return Err(malformed) };
            self.name_bytes += name.len();
            within("attribute names", self.name_bytes, limits::MAX_CHUNK_NAME_BYTES)?;
            varint::put(&mut self.canonical, name.len() as u64);
            self.canonical.extend_from_slice(name.as_bytes());
            let tail = self.lengths;
            self.take_values("attribute values", limits::MAX_VALUES, limits::MAX_VALUE_BYTES)?;
            self.canonical.extend_from_slice(&tail[..tail.len() - self.lengths.len()]);
        }
        let bytes = blob.len() - self.blob.len();
        within("attribute values of an entry", bytes, limits::MAX_ENTRY_VALUE_BYTES)?;
        self.value_bytes += bytes;
        within("attribute values", self.value_bytes, limits::MAX_CHUNK_VALUE_BYTES)?;
        Ok(Attributes { names: Arc::clone(&self.names), columns: Columns { left: count, lengths, blob } })
    }

    fn take_values(&mut self, what: &'static str, most: usize, longest: usize) -> Result<Values<'a>, DecodeError> {
        let malformed = DecodeError::Malformed(what);
        let Some(count) = varint::take_len(&mut self.lengths) else { return Err(malformed) };
        within(what, count, most)?;
        if count > self.lengths.len() {
            return Err(malformed);
        }
        let values = Values { left: count, lengths: self.lengths, blob: self.blob };
        for _ in 0..count {
            let Some(length) = varint::take_len(&mut self.lengths) else { return Err(malformed) };
            within(what, length, longest)?;
            if take_bytes(&mut self.blob, length).is_none() {
                return Err(malformed);
            }
        }
        Ok(values)
    }
}

fn weight(payload: usize, entries: usize, (lengths, of_value): (usize, usize), names: &[&str]) -> usize {
    let longest = names.iter().map(|name| name.len()).max().unwrap_or_default();
    // Each use of a name takes two lengths at the least.
    let name_bytes = (lengths / 2).saturating_mul(longest).min(limits::MAX_CHUNK_NAME_BYTES);
    payload
        .saturating_add(payload.min(limits::MAX_CHUNK_VALUE_BYTES) * BYTE_WEIGHT)
        .saturating_add(entries * ENTRY_WEIGHT)
        .saturating_add(lengths.saturating_mul(of_value))
        .saturating_add(name_bytes)
}

/// One entry of a chunk, as slices of it.
#[derive(Clone, Debug)]
pub struct EntryView<'a> {
    /// What the entry is.
    pub kind: Kind,
    /// Immutable id of the entry in its directory.
    pub external_id: &'a str,
    /// Its distinguished name.
    pub dn: &'a str,
    /// Value of the users' unique attribute; `None` for groups and for users that have none.
    pub unique_value: Option<&'a str>,
    /// Whether the directory lets the user in; unknown for groups.
    pub switch: Switch,
    /// Content hash over all of the entry.
    pub hash: [u8; 32],
    attributes: Attributes<'a>,
    members: Values<'a>,
}

impl<'a> EntryView<'a> {
    /// The attributes with their values, in the order in which they were written.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes.clone()
    }

    /// The same with each name's place among [`ChunkReader::names`] in its stead.
    #[must_use]
    pub fn columns(&self) -> Columns<'a> {
        self.attributes.columns.clone()
    }

    /// The members of a group; in the form [`MemberForm::GroupNames`], the names of a user's groups.
    #[must_use]
    pub fn members(&self) -> Values<'a> {
        self.members.clone()
    }
}

/// The attributes of one entry.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    names: Arc<[&'a str]>,
    columns: Columns<'a>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, Values<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (place, values) = self.columns.next()?;
        Some((self.names.get(place)?, values))
    }
}

/// The attributes of one entry, each with the place of its name.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    left: usize,
    lengths: &'a [u8],
    blob: &'a [u8],
}

impl<'a> Iterator for Columns<'a> {
    type Item = (usize, Values<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let place = varint::take_len(&mut self.lengths)?;
        let left = varint::take_len(&mut self.lengths)?;
        let values = Values { left, lengths: self.lengths, blob: self.blob };
        for _ in 0..left {
            let length = varint::take_len(&mut self.lengths)?;
            take_bytes(&mut self.blob, length)?;
        }
        Some((place, values))
    }
}

/// The values of one attribute, or the members of one group.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    left: usize,
    lengths: &'a [u8],
    blob: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let length = varint::take_len(&mut self.lengths)?;
        take_bytes(&mut self.blob, length)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

fn take_switch(input: &mut &[u8]) -> Option<Switch> {
    match take_byte(input)? {
        0 => Some(Switch::Unknown),
        1 => Some(Switch::On),
        2 => Some(Switch::Off),
        3 => varint::take(input).map(Switch::OnUntil),
        _ => None,
    }
}

fn take_bytes<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

fn take_sized<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint::take_len(input)?;
    take_bytes(input, length)
}

fn take_names<'a>(input: &mut &'a [u8]) -> Result<Vec<&'a str>, DecodeError> {
    let count = varint::take_len(input).ok_or(DecodeError::Malformed("table of names"))?;
    within("table of names", count, limits::MAX_NAMES)?;
    (0..count)
        .map(|_| {
            let name = take_sized(input).ok_or(DecodeError::Malformed("table of names"))?;
            within("attribute name", name.len(), limits::MAX_NAME_BYTES)?;
            std::str::from_utf8(name).map_err(|_| DecodeError::NotUtf8("table of names"))
        })
        .collect()
}

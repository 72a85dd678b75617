//! How much one message may hold. Both ends keep to these limits: the agent leaves out or reports what is larger, and the
//! control plane refuses it before it allocates anything for it. `docs/security.md` lists them for operators.

/// The largest message on `Gateway.Connect`, in bytes; both sides refuse a larger one.
pub const MAX_FRAME_BYTES: usize = 4 << 20;
/// The largest message on `Enrollment`, in bytes. A certificate signing request takes about one kilobyte.
pub const MAX_ENROLLMENT_BYTES: usize = 64 << 10;
/// The largest message on `Gateway.Deliver`, in bytes. A chunk is far smaller (see [`CHUNK_TARGET_BYTES`])
/// unless a single entry, such as a group of some hundred thousand members, is larger by itself.
pub const MAX_CHUNK_BYTES: usize = 64 << 20;

/// How many entries a chunk holds at the most unless the command says otherwise.
pub const CHUNK_ENTRIES: u32 = 500;
/// A chunk is closed when it reaches this many bytes, however few its entries.
pub const CHUNK_TARGET_BYTES: usize = 1 << 20;
/// No chunk holds more entries than this, whatever the command says.
pub const MAX_CHUNK_ENTRIES: usize = 10_000;

/// Attribute names in the table of a chunk, and attributes of one entry.
pub const MAX_NAMES: usize = 4096;
/// Names of attributes that an agent says it delivers, of users and groups together. With more it does not say.
pub const MAX_LISTED_ATTRIBUTES: usize = 1024;
/// One attribute name.
pub const MAX_NAME_BYTES: usize = 255;
/// All attribute names of a chunk, each counted once for every entry that has it.
pub const MAX_CHUNK_NAME_BYTES: usize = 8 << 20;

/// One external id.
pub const MAX_EXTERNAL_ID_BYTES: usize = 1024;
/// One value of the users' unique attribute.
pub const MAX_UNIQUE_VALUE_BYTES: usize = 4 << 10;
/// One distinguished name: of an entry, or of a member.
pub const MAX_DN_BYTES: usize = 8 << 10;
/// One value of an attribute. A photo of Active Directory (at most 100 KB) fits.
pub const MAX_VALUE_BYTES: usize = 128 << 10;
/// Values of one attribute.
pub const MAX_VALUES: usize = 50_000;
/// All attribute values of one entry together, members apart.
pub const MAX_ENTRY_VALUE_BYTES: usize = 1 << 20;
/// All attribute values of one chunk together, members apart.
pub const MAX_CHUNK_VALUE_BYTES: usize = 8 << 20;
/// Members of one group.
pub const MAX_MEMBERS: usize = 1_000_000;
/// Groups that one user names, see [`GroupNames`](crate::chunk::MemberForm::GroupNames).
pub const MAX_GROUPS_OF_USER: usize = 10_000;
/// Names of groups that the users of one chunk name together.
pub const MAX_CHUNK_GROUP_NAMES: usize = 100_000;

/// Directories that one agent announces.
pub const MAX_DIRECTORIES: usize = 256;
/// Commands that one agent holds: running, or ended and not yet acknowledged.
pub const MAX_HELD_COMMANDS: usize = 1024;
/// Attributes of one operation. These limits together are below what the guard of messages lets pass.
pub const MAX_OPERATION_ATTRIBUTES: usize = 1_000;
/// Choices of names for one new entry.
pub const MAX_OPERATION_CHOICES: usize = 64;
/// Values of all attributes of one operation, those that are known and those that are wanted; and values of its outcome.
pub const MAX_OPERATION_VALUES: usize = 2_000;
/// Members that one operation adds and removes.
pub const MAX_OPERATION_MEMBERS: usize = 2_000;
/// One operation as a whole. Its outcome has to fit into a frame together with the entry as it is then.
pub const MAX_OPERATION_BYTES: usize = 2 << 20;
/// Any other text of a message: a reason, a cure, a version, the value that a look-up asks for.
pub const MAX_TEXT_BYTES: usize = 4 << 10;
/// Rows of a diagnosis, and names in any list of samples.
pub const MAX_ROWS: usize = 100;

/// Cuts a text from the other end where it is longer than [`MAX_TEXT_BYTES`], at the end of a character.
#[must_use]
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_end_of_a_character() {
        assert_eq!(cut("short"), "short");
        let long = "ü".repeat(MAX_TEXT_BYTES);
        assert_eq!(cut(&long).len(), MAX_TEXT_BYTES);
        let odd = format!("x{long}");
        assert_eq!(cut(&odd).len(), MAX_TEXT_BYTES - 1);
    }
}

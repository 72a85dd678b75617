//! The source of events: what the event viewer needs to show their text.

use std::io;

use windows_registry::LOCAL_MACHINE;

/// The name of the source.
pub(super) const SOURCE: &str = "Postern";
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\Postern";
/// Windows' own table of messages: those from 1 to 1000 are the text itself.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";
/// Error, warning and information.
const TYPES: u32 = 7;

/// Registers the source; again, where it is registered.
pub(super) fn register() -> io::Result<()> {
    let key = LOCAL_MACHINE.create(KEY).map_err(io::Error::other)?;
    key.set_expand_string("EventMessageFile", MESSAGES).map_err(io::Error::other)?;
    key.set_u32("TypesSupported", TYPES).map_err(io::Error::other)
}

/// Removes it, where it is there.
pub(super) fn remove() {
    let _ = LOCAL_MACHINE.remove_tree(KEY);
}

//! The kinds of command, one file each. A new kind is its message in `command.proto`, its file here, its line in [`ALL`],
//! and its file among the kinds of job in the control plane.

mod entries;
pub mod held;
mod import;
pub mod kind;
mod lookup_user;
mod operate;
mod room;
mod sealed;
mod test_connection;
pub mod turns;

pub use self::held::Commands;
use self::kind::Kinds;
pub use self::kind::{Context, Request};

/// All kinds that this agent knows.
pub const ALL: Kinds =
    &[&import::Import, &test_connection::TestConnection, &lookup_user::LookupUser, &operate::Operate];

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::ALL;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// `lookup_user` becomes `LookupUser`.
    fn type_name(kind: &str) -> String {
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        kind.split('_').map(capital).collect()
    }

    #[test]
    fn a_kind_is_named_in_its_own_file_and_in_the_list_only() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let own = |kind: &str| source.join(format!("commands/{kind}.rs"));
        for file in files(&source).iter().filter(|file| **file != source.join("commands/mod.rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test = file.ends_with("tests.rs");
            for kind in ALL.iter().map(|kind| kind.name()).filter(|kind| *file != own(kind) && !is_test) {
                let kind_type = type_name(kind);
                let words = [format!("\"{kind}\""), format!("::{kind_type}"), format!("{kind_type}Result")];
                let found = words.iter().find(|word| code.contains(*word));
                assert!(found.is_none(), "{} names the kind {kind}: {found:?}", file.display());
            }
        }
    }
}

//! Where the server's programs are.

use std::path::PathBuf;

/// The newest installed server's programs (`initdb`, `postgres`, `psql`).
pub fn folder() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let folders = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let folder = version.path().join("bin");
        folder.join("postgres").exists().then_some((number, folder))
    });
    folders.max().map(|(_, folder)| folder)
}

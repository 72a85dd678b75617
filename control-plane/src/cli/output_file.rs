//! A file that a command writes: under its name it is whole, or not there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::client::Client;
use super::error::Error;
use super::files;
use super::screen::Screen;

/// A file that is being written beside its place, with `.part` behind its name. It is removed unless it is finished.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl OutputFile {
    /// Begins a file that must not exist yet.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Output { path: path.to_owned(), source: files::plain(source) };
        if path.exists() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let file = File::create(&part).map_err(failed)?;
        Ok(Self { path: path.to_owned(), part: part.into(), file })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|source| Error::Output { path: self.path.clone(), source: files::plain(source) })
    }

    /// Gives the file its name, now that it is whole.
    pub(super) fn finish(self) -> Result<(), Error> {
        let named = self.file.sync_all().and_then(|()| fs::hard_link(&self.part, &self.path));
        named.map_err(|source| Error::Output { path: self.path.clone(), source: files::plain(source) })
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        // What cannot be removed shows by its name that it is not whole.
        let _ = fs::remove_file(&self.part);
    }
}

/// Writes a long answer to a file, or to standard output.
pub(super) async fn download(
    path: &str,
    query: &[(&str, String)],
    output: Option<&Path>,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let mut answer = client.download(path, query).await?;
    let mut file = output.map(OutputFile::create).transpose()?;
    while let Some(chunk) = client.chunk(&mut answer).await? {
        match &mut file {
            Some(file) => file.write(&chunk)?,
            None => screen.bytes(&chunk)?,
        }
    }
    file.map_or(Ok(()), OutputFile::finish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_file_has_the_name_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.csv");
        let mut cut = OutputFile::create(&path).unwrap();
        cut.write(b"half").unwrap();
        drop(cut);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");

        let mut whole = OutputFile::create(&path).unwrap();
        whole.write(b"all").unwrap();
        whole.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "all");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let refused = OutputFile::create(&path).unwrap_err().explain();
        assert!(refused.contains("users.csv") && refused.contains("exists already"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "all");
    }
}

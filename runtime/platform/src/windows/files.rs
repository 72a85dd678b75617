//! Files and folders for their owner only, by their ACL: SYSTEM, Administrators, and the service.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use super::raw;

/// `sc.exe showsid PosternAgent`: it follows from the name of the service, whether there is one or not.
pub(super) const SERVICE_SID: &str = "S-1-5-80-1444054843-3352858257-3675717586-3492920963-2963450714";
/// Full access for SYSTEM and Administrators; the service may do all but change owner and ACL.
pub(super) const FILE: &str =
    "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1301bf;;;S-1-5-80-1444054843-3352858257-3675717586-3492920963-2963450714)";
/// The same for a folder and all that will be in it.
pub(super) const FOLDER: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)\
    (A;OICI;0x1301bf;;;S-1-5-80-1444054843-3352858257-3675717586-3492920963-2963450714)";
/// Everybody, anonymous, the users of the machine, of the domain and of this session, guests (MS-DTYP 2.5.1.1).
const MANY: [&str; 8] = ["WD", "AN", "BU", "AU", "IU", "BG", "DU", "DG"];
/// Links are opened themselves, and not what they lead to.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner.
    Owner,
    /// Those who may read what is in its folder.
    All,
}

/// Makes a file that is not there yet.
pub fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if readers == Readers::All {
        return options.open(path);
    }
    // Nobody else may open it before it has its ACL.
    let file = options.share_mode(0).open(path)?;
    raw::set_security(path, FILE)?;
    Ok(file)
}

/// A file that opening makes has the ACL of its folder.
pub fn private(_options: &mut OpenOptions) {}

/// A link in the place of the file is opened itself, and not what it leads to.
pub fn no_follow(options: &mut OpenOptions) {
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
}

/// Makes a folder for its owner only, with those above it, where it is missing.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // What lies in Postern's own folder is as private as the folder.
    let ours = super::paths::folder();
    match path.parent() {
        Some(parent) if parent.starts_with(&ours) => private_folder(parent)?,
        Some(parent) => std::fs::create_dir_all(parent)?,
        None => {}
    }
    raw::create_folder(path, FOLDER)
}

/// Nothing: NTFS writes the change of a name into its journal.
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// What gives others than its owner access to a file, and the command that ends that.
pub fn exposed(path: &Path, _file: &File) -> io::Result<Option<(String, String)>> {
    Ok(granted_to_many(&raw::security_of(path)?).map(|who| (format!("its ACL allows {who}"), cure(path))))
}

/// The cure, where everybody on this machine can read a file. `None` also where the file cannot be looked at.
pub fn open_to_all(path: &Path) -> Option<String> {
    let _ = granted_to_many(&raw::security_of(path).ok()?)?;
    Some(cure(path))
}

/// Nothing: the ACL of the folder says who may use what is in it.
pub fn same_owner_as_folder(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

fn cure(path: &Path) -> String {
    format!("postern-agent service protect \"{}\"", path.display())
}

/// Which of the groups that have many members an ACL gives something to.
fn granted_to_many(sddl: &str) -> Option<&'static str> {
    let entries = sddl.split('(').skip(1).filter_map(|entry| entry.split(')').next());
    let granted = entries.filter_map(|entry| {
        let mut fields = entry.split(';');
        let (kind, flags) = (fields.next()?, fields.next()?);
        // An entry that is only inherited says nothing of the file itself.
        let counts = kind == "A" && !flags.contains("IO");
        counts.then(|| fields.nth(3)).flatten()
    });
    let mut many = granted.filter_map(|who| MANY.iter().find(|many| **many == who));
    many.next().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_that_lets_many_in_is_noticed() {
        assert_eq!(granted_to_many(FILE), None);
        assert_eq!(granted_to_many(FOLDER), None);
        assert_eq!(granted_to_many("O:BAD:PAI(A;;FA;;;SY)(A;;0x1200a9;;;BU)"), Some("BU"));
        assert_eq!(granted_to_many("O:BAD:(A;OICIIO;FA;;;WD)(A;ID;FA;;;BA)"), None);
        assert_eq!(granted_to_many("O:BAD:(D;;FA;;;WD)"), None);
        assert_eq!(granted_to_many("O:BAD:NO_ACCESS_CONTROL"), None);
    }

    #[test]
    fn both_acls_name_the_service() {
        assert!(FILE.contains(SERVICE_SID) && FOLDER.contains(SERVICE_SID));
    }

    #[test]
    fn a_private_file_is_not_exposed_and_can_be_written_and_replaced() -> io::Result<()> {
        use std::io::Write as _;
        let folder = tempfile::tempdir()?;
        let (path, other) = (folder.path().join("key"), folder.path().join("other"));
        create(&path, Readers::Owner)?.write_all(b"one")?;
        create(&other, Readers::Owner)?.write_all(b"two")?;
        std::fs::rename(&other, &path)?;
        assert_eq!(exposed(&path, &File::open(&path)?)?, None);
        assert_eq!(std::fs::read(&path)?, b"two");
        private_folder(&folder.path().join("state"))?;
        create(&folder.path().join("state/file"), Readers::All)?;
        Ok(())
    }
}

//! Security descriptors, written as SDDL (MS-DTYP 2.5.1).

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::ptr::null_mut;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, WIN32_ERROR};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    ACL, DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetSecurityDescriptorOwner, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, PSID, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;

use super::{Allocated, done, text_at, wide};

/// A descriptor as Windows has it in memory.
struct Descriptor(Allocated);

impl Descriptor {
    fn parse(sddl: &str) -> io::Result<Self> {
        let (sddl, mut descriptor) = (wide(sddl), null_mut());
        // SAFETY: `sddl` ends with a zero and lives on; `descriptor` is ours to be filled; the size is not wanted.
        done(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        })?;
        Ok(Self(Allocated(descriptor)))
    }

    /// As new objects take it.
    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default();
        SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: self.0.0, bInheritHandle: 0 }
    }

    fn dacl(&self) -> io::Result<*mut ACL> {
        let (mut present, mut defaulted, mut dacl) = (0, 0, null_mut());
        // SAFETY: the descriptor is valid; the others are ours to be filled.
        done(unsafe { GetSecurityDescriptorDacl(self.0.0, &raw mut present, &raw mut dacl, &raw mut defaulted) })?;
        Ok(dacl)
    }

    /// Null where it names none.
    fn owner(&self) -> io::Result<PSID> {
        let (mut defaulted, mut owner) = (0, null_mut());
        // SAFETY: as above.
        done(unsafe { GetSecurityDescriptorOwner(self.0.0, &raw mut owner, &raw mut defaulted) })?;
        Ok(owner)
    }
}

/// Gives a file or folder the DACL of `sddl`, which nothing is inherited into, and its owner where it names one. What is
/// in a folder inherits from it.
pub(crate) fn set_security(path: &Path, sddl: &str) -> io::Result<()> {
    let descriptor = Descriptor::parse(sddl)?;
    let (dacl, owner, name) = (descriptor.dacl()?, descriptor.owner()?, wide(path));
    let what = if owner.is_null() { 0 } else { OWNER_SECURITY_INFORMATION };
    let what = what | DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: `name` ends with a zero; DACL and owner belong to `descriptor`, which lives on; the rest is not set.
    succeeded(unsafe {
        SetNamedSecurityInfoW(name.as_ptr(), SE_FILE_OBJECT, what, owner, null_mut(), dacl, std::ptr::null())
    })
}

/// Owner and DACL of a file or folder.
pub(crate) fn security_of(path: &Path) -> io::Result<String> {
    let (name, mut descriptor) = (wide(path), null_mut());
    let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    // SAFETY: `name` ends with a zero; `descriptor` is ours to be filled; its parts are not wanted.
    succeeded(unsafe {
        GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            what,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    })?;
    let descriptor = Allocated(descriptor);
    let mut text = null_mut();
    // SAFETY: the descriptor is valid; `text` is ours to be filled; its length is not wanted.
    done(unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.0,
            SDDL_REVISION_1,
            what,
            &raw mut text,
            null_mut(),
        )
    })?;
    let text = Allocated(text.cast());
    // SAFETY: Windows ends it with a zero, and it lives as long as `text`.
    Ok(unsafe { text_at(text.0.cast()) })
}

/// Makes a folder that has this descriptor from its first moment.
pub(crate) fn create_folder(path: &Path, sddl: &str) -> io::Result<()> {
    let descriptor = Descriptor::parse(sddl)?;
    let (name, attributes) = (wide(path), descriptor.attributes());
    // SAFETY: `name` ends with a zero; the attributes and their descriptor live on.
    done(unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) })
}

/// Makes an end of a named pipe that has this descriptor.
pub(crate) fn pipe(options: &ServerOptions, name: &OsStr, sddl: &str) -> io::Result<NamedPipeServer> {
    let descriptor = Descriptor::parse(sddl)?;
    let mut attributes = descriptor.attributes();
    // SAFETY: the attributes are what the function wants, and live on.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
}

fn succeeded(code: WIN32_ERROR) -> io::Result<()> {
    if code == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}

//! Memory that has been used goes back to the system when it is used no more.
//!
//! glibc keeps some freed blocks of each size aside for the thread that freed them. One such block near the end of a
//! heap holds all that lies free below it: an agent that had imported stayed at twice the size that it started with,
//! with hardly anything in it. glibc reads the setting only when a program is loaded; hence a service loads itself
//! anew, once, as the same process.

/// Sets the allocator up. On the first call it does not return: the program begins anew with the same words. So call it
/// before anything else is done.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn settle() {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    const TUNABLES: &str = "GLIBC_TUNABLES";
    /// There from the second time on. Not so the other: glibc takes it away from a program with file capabilities.
    const BEGUN_ANEW: &str = "POSTERN_BEGUN_ANEW";
    // What an administrator has set stays as it is.
    if std::env::var_os(TUNABLES).is_some() || std::env::var_os(BEGUN_ANEW).is_some() {
        return;
    }
    let mut words = std::env::args_os();
    if let (Some(name), Ok(program)) = (words.next(), std::env::current_exe()) {
        let mut anew = Command::new(program);
        anew.arg0(name).args(words).env(TUNABLES, "glibc.malloc.tcache_count=0").env(BEGUN_ANEW, "1");
        let refused = anew.exec();
        // A sandbox may forbid it. Nothing is lost but memory.
        eprintln!("The memory allocator cannot be set up ({refused}); set {TUNABLES}=glibc.malloc.tcache_count=0.");
    }
}

/// Sets the allocator up, where it needs that.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn settle() {}

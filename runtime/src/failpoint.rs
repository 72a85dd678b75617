//! Points between two steps, at which a test has the process die. A release build has none of them.

/// Has the process die here, if a test wants that: `POSTERN_FAIL_AT` names a file with the name of a point, and how many times
/// the point is passed before, if any (`directory.sending 1`). The file goes first: the next process passes.
#[cfg(debug_assertions)]
pub fn reached(point: &str) {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("POSTERN_FAIL_AT").map(PathBuf::from));
    if FILE.as_deref().is_some_and(|file| is_the_one(file, point)) {
        // As by a signal: nothing is closed, written or handed over any more.
        std::process::abort();
    }
}

/// Nothing dies in a release build.
#[cfg(not(debug_assertions))]
pub const fn reached(_point: &str) {}

#[cfg(debug_assertions)]
fn is_the_one(file: &std::path::Path, point: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let (wanted, passed) = text.trim().split_once(' ').unwrap_or((text.trim(), "0"));
    let passed: u32 = passed.parse().unwrap_or_default();
    if wanted != point {
        return false;
    }
    if passed > 0 {
        // A test that this cannot be written for waits in vain, and fails.
        let _ = std::fs::write(file, format!("{point} {}", passed - 1));
        return false;
    }
    std::fs::remove_file(file).is_ok()
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_one_once_and_only_after_it_was_passed_so_often() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("point");
        assert!(!is_the_one(&file, "a"));
        std::fs::write(&file, "a 1\n").unwrap();
        let asked = ["b", "a", "b", "a", "a"].map(|point| is_the_one(&file, point));
        assert_eq!(asked, [false, false, false, true, false]);
    }
}

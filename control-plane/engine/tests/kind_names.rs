//! A kind of job is one file: nothing else of the control plane names one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use postern_engine::kinds;

/// All source files below a folder, without tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn a_kind_of_job_is_named_in_its_own_file_and_the_list_of_kinds() {
    let control_plane = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for room in ["src", "engine/src", "store/src", "store/migrations"] {
        sources(&control_plane.join(room), &mut files);
    }
    assert!(files.len() > 100, "there are more files than {}", files.len());
    let rooms_of_kinds = control_plane.join("engine/src/kinds");
    let others =
        files.iter().filter(|path| !path.starts_with(&rooms_of_kinds) && !path.ends_with("engine/src/kinds.rs"));
    for path in others {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for kind in kinds::ALL {
            for name in [format!("\"{}\"", kind.name()), format!("'{}'", kind.name()), format!("\"{}\"", kind.word())] {
                assert!(!code.contains(&name), "{} names the kind {name}", path.display());
            }
        }
    }
}

//! Replays every input that fuzzing starts from, and every input that it ever found, through the same functions.

#[path = "../../fuzz/src/targets.rs"]
#[expect(
    clippy::panic,
    unreachable_pub,
    reason = "a target panics to report what it found; the fuzzers are crates of their own"
)]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn every_known_input_still_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::ALL {
        let inputs: Vec<_> = fs::read_dir(corpora.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for input in inputs {
            println!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
    }
}

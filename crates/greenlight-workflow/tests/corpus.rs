//! The inputs that the fuzz targets start from, among them all that ever broke one: what must hold for every input holds for
//! these in every test run.

#[expect(dead_code, reason = "the words are for those who make new inputs")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

/// How many inputs each target has at least; fewer means that files are missing.
const INPUTS_MIN: usize = 50;

#[test]
fn what_must_hold_for_every_input_holds_for_those_that_are_kept() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut outcomes = std::collections::BTreeSet::new();
    for target in &targets::TARGETS {
        let inputs = std::fs::read_dir(corpus.join(target.name)).unwrap();
        let mut count = 0;
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            outcomes.insert((target.name, (target.run)(&std::fs::read(&path).unwrap())));
            count += 1;
        }
        assert!(count >= INPUTS_MIN, "{} has {count} inputs", target.name);
    }
    assert!(outcomes.len() > INPUTS_MIN, "they all end in one of {} ways", outcomes.len());
}

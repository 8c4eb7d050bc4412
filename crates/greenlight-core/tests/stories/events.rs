//! Events that are about no push and no pull request of our own: what of their payload starts which workflow.

use crate::world::World;

const QUEUE: &str = "name: Queue
on:
  merge_group:
    branches: [main]
jobs:
  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";

#[test]
fn a_merge_group_is_filtered_by_the_branch_that_it_is_for() {
    for (base, runs) in [("main", 1), ("release", 0)] {
        let mut world = World::new(&[(".github/workflows/queue.yml", QUEUE)], "");
        let head = format!("refs/heads/gh-readonly-queue/{base}/pr-1");
        let payload = format!(r#"{{"merge_group":{{"head_ref":"{head}","base_ref":"refs/heads/{base}"}}}}"#);
        world.tell("merge_group", Some("checks_requested"), &payload, &head, 'a');
        world.work();
        assert_eq!(world.runs_of("merge_group"), runs, "{base}");
    }
}

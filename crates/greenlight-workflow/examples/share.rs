use std::hint::black_box;
use std::time::Instant;
fn med(mut f: impl FnMut()) -> f64 {
    let mut v: Vec<f64> = (0..std::env::args().nth(2).map_or(3000, |n| n.parse().unwrap()))
        .map(|_| {
            let b = Instant::now();
            f();
            b.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}
fn main() {
    let path = std::env::args().nth(1).unwrap_or("crates/greenlight-workflow/benches/typical.yml".into());
    let text = std::fs::read_to_string(path).unwrap();
    println!(
        "parse_workflow + drop {:.0}",
        med(|| {
            black_box(greenlight_workflow::parse_workflow("ci.yml", black_box(&text)));
        })
    );
}

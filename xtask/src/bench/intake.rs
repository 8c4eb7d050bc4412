//! `bench intake`: signed `pull_request` deliveries of 24 KB against the floor: axum, HMAC, zstd 1, SQLite FULL, group commit.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use super::client::{Load, Request, load};
use super::machine::{FOREIGN_LOAD_MAX, Watch};
use super::service::{Service, build, free_address};
use super::{EXIT_BUSY, Options, median};

const SECRET: &str = "It's a Secret to Everybody";
/// The product's rate over the floor's.
const RATE_MIN: f64 = 0.8;
/// The product's p99 at 16 clients over the floor's.
const P99_MAX: f64 = 2.0;
/// The rate beside jobs over the quiet one.
const BESIDE_JOBS_MIN: f64 = 0.8;
const WARM_UP: Duration = Duration::from_millis(500);

struct Sides {
    floor: PathBuf,
    product: PathBuf,
}

/// Measures and judges.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let sides =
        Sides { floor: build(root, "bench/floors/Cargo.toml", "floors", "intake")?, product: options.program(root)? };
    let body = payload(root)?;
    println!("a delivery of {} bytes, {} rounds of {} s for each side", body.len(), options.rounds, options.seconds);
    let signature = sign(&body);
    let floor = Arc::new(Request { path: "/hook", body: body.clone(), signature: signature.clone() });
    let product = Arc::new(Request { path: "/webhooks/github", body, signature });
    let length = Duration::from_secs(options.seconds);
    let (mut missed, mut busy) = (false, false);
    for clients in [1, 16, 64] {
        let mut floors = Vec::new();
        let mut products = Vec::new();
        for _ in 0..options.rounds {
            let watch = Watch::begin();
            floors.push(measure(&floor_service(&sides)?, &floor, clients, length)?);
            products.push(measure(&product_service(&sides)?, &product, clients, length)?);
            busy |= watch.foreign_load() > FOREIGN_LOAD_MAX;
        }
        let rate = of(&products, |load| load.rate) / of(&floors, |load| load.rate);
        let p99 = of(&products, |load| load.p99) / of(&floors, |load| load.p99);
        row("floor", clients, &floors);
        row("greenlight", clients, &products);
        println!(
            "  ratio: rate {rate:.2} (at least {RATE_MIN}), p99 {p99:.2}{}",
            if clients == 16 { " (at most 2)" } else { "" }
        );
        if rate < RATE_MIN || (clients == 16 && p99 > P99_MAX) {
            missed = true;
            profile(&sides, &product, clients, length)?;
        }
    }
    missed |= beside_jobs(&sides, &product, length, options.rounds)?;
    if busy {
        println!("not judged: something else used more than {FOREIGN_LOAD_MAX} of a core meanwhile");
        return Ok(ExitCode::from(EXIT_BUSY));
    }
    println!("{}", if missed { "a goal was missed" } else { "all goals met" });
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures the product quiet, and beside a job on every core; jobs run at the weight that the runner gives them.
fn beside_jobs(sides: &Sides, request: &Arc<Request>, length: Duration, rounds: usize) -> Result<bool, Box<dyn Error>> {
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        quiet.push(measure(&product_service(sides)?, request, 4, length)?);
        let service = product_service(sides)?;
        let jobs = Jobs::start()?;
        beside.push(measure(&service, request, 4, length)?);
        drop(jobs);
    }
    row("quiet", 4, &quiet);
    row("beside jobs", 4, &beside);
    let ratio = of(&beside, |load| load.rate) / of(&quiet, |load| load.rate);
    println!("  ratio: rate {ratio:.2} (at least {BESIDE_JOBS_MIN})");
    if ratio < BESIDE_JOBS_MIN {
        let _jobs = Jobs::start()?;
        profile(sides, request, 4, length)?;
    }
    Ok(ratio < BESIDE_JOBS_MIN)
}

/// Prints where the product's time goes under the load that missed its goal.
fn profile(sides: &Sides, request: &Arc<Request>, clients: usize, length: Duration) -> Result<(), Box<dyn Error>> {
    let service = product_service(sides)?;
    let address = service.address;
    std::thread::scope(|scope| {
        let under_load = scope.spawn(|| load(address, request, clients, length).map_err(|error| error.to_string()));
        let printed = service.print_profile(length.saturating_sub(Duration::from_secs(1)));
        under_load.join().map_err(|_| "the load panicked")??;
        printed
    })
}

/// Busy loops, one for each core, at nice +19 as the runner's jobs are.
struct Jobs(Vec<Child>);

impl Jobs {
    fn start() -> Result<Self, Box<dyn Error>> {
        let cores = std::thread::available_parallelism()?.get();
        let spawn =
            |_| Command::new("nice").args(["-n", "19", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Ok(Self((0..cores).map(spawn).collect::<Result<_, _>>()?))
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &mut self.0 {
            let _ = job.kill();
            let _ = job.wait();
        }
    }
}

fn measure(
    service: &Service,
    request: &Arc<Request>,
    clients: usize,
    length: Duration,
) -> Result<Load, Box<dyn Error>> {
    load(service.address, request, clients, WARM_UP)?;
    load(service.address, request, clients, length)
}

fn floor_service(sides: &Sides) -> Result<Service, Box<dyn Error>> {
    let address = free_address()?;
    Service::start(&sides.floor, address, |folder, command| {
        command.args(["group-zstd", &address.to_string()]).arg(folder.join("floor.sqlite"));
        Ok(())
    })
}

/// Starts the server with a GitHub that cannot be reached: what is measured is the door.
fn product_service(sides: &Sides) -> Result<Service, Box<dyn Error>> {
    start_server(&sides.product, &format!("http://{}", free_address()?))
}

/// Starts the server against this API.
pub fn start_server(program: &Path, api_url: &str) -> Result<Service, Box<dyn Error>> {
    let (address, pages) = (free_address()?, free_address()?);
    Service::start(program, address, |folder, command| {
        fs::write(folder.join("github.token"), "a-token-for-the-bench")?;
        fs::write(folder.join("webhook.secret"), SECRET)?;
        let settings = format!(
            "url = \"http://{address}\"\nlisten = \"{address}\"\ndata = \"data\"\n[pages]\nlisten = \"{pages}\"\n[github]\napi_url = \"{api_url}\"\n\
             token_file = \"github.token\"\nwebhook_secret_file = \"webhook.secret\"\nrepositories = [\"acme/app\"]\n"
        );
        fs::write(folder.join("greenlight.toml"), settings)?;
        command.args(["serve", "--config", "greenlight.toml"]);
        Ok(())
    })
}

/// Returns GitHub's own example that is nearest to 24 KB.
fn payload(root: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let packed = fs::read(root.join("testdata/webhooks-examples/examples.json.zst"))?;
    let examples: Vec<serde_json::Value> = serde_json::from_slice(&zstd::decode_all(&packed[..])?)?;
    let bodies = examples
        .iter()
        .filter(|example| example["event"] == "pull_request")
        .map(|example| example["payload"].to_string().into_bytes());
    bodies.min_by_key(|body| body.len().abs_diff(24_000)).ok_or_else(|| "there is no example of a pull_request".into())
}

fn sign(body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body);
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn of(loads: &[Load], figure: impl Fn(&Load) -> f64) -> f64 {
    median(&loads.iter().map(figure).collect::<Vec<_>>())
}

fn row(name: &str, clients: usize, loads: &[Load]) {
    let (rate, p50, p99) = (of(loads, |load| load.rate), of(loads, |load| load.p50), of(loads, |load| load.p99));
    println!("{clients:3} clients  {name:12} {rate:9.0} /s  p50 {p50:7.2} ms  p99 {p99:7.2} ms");
}

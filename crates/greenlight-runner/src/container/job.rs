//! The containers of one job: its network, its own container, its services.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use greenlight_workflow::{ContainerSpec, Value as Word};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::engine::{Engine, EngineError, escaped};
use super::exec::{Fresh, Home, run_in};
use super::mount::Mounts;
use super::options::{self, Asked};
use super::{LABEL_JOB, LABEL_RUNNER, remove_all};
use crate::workspace::Workspace;

/// How long a service may take to become healthy where it does not say.
const HEALTHY_WAIT: Duration = Duration::from_secs(120);

/// What a job's container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandsFor {
    /// The container that its workflow names.
    Itself,
    /// The machine that the job asks for: scripts run as they do there.
    Machine,
}

/// How often a service is looked at: the engines' checks take place at intervals of their own, and where an engine leaves them to a
/// service manager that is not there, no event comes and the look is the check.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How large the context of a Dockerfile may be.
const CONTEXT_BYTES_MAX: usize = 512 << 20;

/// How long an engine's answer to a pull or a build may be in one line.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What a job has in an engine.
pub(crate) struct Containers {
    pub(crate) engine: Engine,
    name: String,
    root: PathBuf,
    labels: Value,
    network: OnceLock<String>,
    /// The job's own container, with what `job.container` says of it.
    home: OnceLock<(Arc<Home>, Word)>,
    count: AtomicU32,
    /// Images that were built, by the folder of their action.
    built: Mutex<HashMap<PathBuf, String>>,
    /// Is root in a container whoever runs the engine, outside?
    is_rootless: bool,
}

impl std::fmt::Debug for Containers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Containers").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Containers {
    /// Finds the engine for a job.
    pub(crate) async fn open(workspace: &Workspace) -> Result<Self, EngineError> {
        let engine = Engine::find().await?;
        let info = engine.get("/info").await?;
        let is_rootless = info["SecurityOptions"].to_string().contains("rootless");
        let runner = workspace.root.parent().unwrap_or(&workspace.root).display().to_string();
        let name = format!("greenlight-{}-{}", std::process::id(), workspace.number());
        let labels = json!({ LABEL_JOB: workspace.root.display().to_string(), LABEL_RUNNER: runner });
        Ok(Self {
            engine,
            name,
            root: workspace.root.clone(),
            labels,
            network: OnceLock::new(),
            home: OnceLock::new(),
            count: AtomicU32::new(0),
            built: Mutex::default(),
            is_rootless,
        })
    }

    /// Makes the job's network.
    pub(crate) async fn make_network(&self) -> Result<(), String> {
        let body = json!({ "Name": self.name, "Labels": self.labels, "Driver": "bridge" });
        let made = self.engine.post("/networks/create", Some(body)).await;
        made.map_err(|error| format!("the job's network cannot be made: {error}"))?;
        // It is made once.
        let _ = self.network.set(self.name.clone());
        Ok(())
    }

    /// Returns the job's own container.
    pub(crate) fn home(&self) -> Option<Arc<Home>> {
        self.home.get().map(|(home, _)| home.clone())
    }

    /// Returns what the `job` context says of the job's own container.
    pub(crate) fn told(&self) -> Vec<(String, Word)> {
        self.home.get().map(|(_, told)| ("container".to_owned(), told.clone())).into_iter().collect()
    }

    /// Starts a service, without waiting until it is healthy. Returns its container.
    pub(crate) async fn start_service(&self, alias: &str, spec: &ContainerSpec) -> Result<String, String> {
        let told = |why: String| format!("the service '{alias}' cannot be started: {why}");
        let mut body = self.body(spec, Some(alias)).await.map_err(told)?;
        for (key, text) in [("Entrypoint", &spec.entrypoint), ("Cmd", &spec.command)] {
            if let Some(text) = text {
                body[key] = json!(options::words(text).map_err(told)?);
            }
        }
        self.start(body).await.map_err(|error| told(error.to_string()))
    }

    /// Starts the job's own container, which waits for programs.
    pub(crate) async fn start_home(
        &self,
        spec: &ContainerSpec,
        stands_for: StandsFor,
        workspace: &Workspace,
        nodes: &[(PathBuf, String)],
    ) -> Result<BTreeMap<String, String>, String> {
        let told = |why: String| format!("the job's container cannot be started: {why}");
        let mut mounts = Mounts::of_job(workspace);
        for (node, inside) in nodes {
            mounts.add_program(node, inside);
        }
        let mut body = self.body(spec, None).await.map_err(told)?;
        add_binds(&mut body, &mounts);
        body["Entrypoint"] = json!(["tail"]);
        body["Cmd"] = json!(["-f", "/dev/null"]);
        if body.get("WorkingDir").is_none() {
            body["WorkingDir"] = mounts.translate(&workspace.workspace.display().to_string()).into();
        }
        let id = self.start(body).await.map_err(|error| told(error.to_string()))?;
        let seen = self.engine.get(&format!("/containers/{id}/json")).await.map_err(|error| told(error.to_string()))?;
        if seen["State"]["Running"] == false {
            return Err(told(format!("{} has no `tail`, or does not run here", spec.image)));
        }
        let notes = mounts.translate(&workspace.temp.display().to_string());
        let network = Word::string(self.network.get().cloned().unwrap_or_default());
        let container = Word::object([("id", Word::string(&*id)), ("network", network)]);
        let mut home = Home { engine: self.engine.clone(), id, mounts, notes, shell: None };
        if stands_for == StandsFor::Machine && matches!(home.run(None, &["sh", "-c", "command -v bash"]).await, Ok(0)) {
            home.shell = Some("bash -e {0}");
        }
        // It is started once.
        let _ = self.home.set((Arc::new(home), container));
        let env = seen["Config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(env.filter_map(|entry| entry.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Waits until a service is healthy, and returns what `job.services` says of it.
    pub(crate) async fn wait_for(&self, alias: &str, id: &str) -> Result<Word, String> {
        let began = Instant::now();
        loop {
            let seen = self.engine.get(&format!("/containers/{id}/json")).await.map_err(|error| error.to_string())?;
            let test = seen["Config"]["Healthcheck"]["Test"]
                .as_array()
                .filter(|test| !test.is_empty() && test.first().is_some_and(|first| first != "NONE"));
            if seen["State"]["Running"] == false {
                let said = self.last_words(id).await;
                return Err(format!("the service '{alias}' ended with exit code {}:{said}", seen["State"]["ExitCode"]));
            }
            let status = seen["State"]["Health"]["Status"].as_str().unwrap_or_default();
            let is_healthy = match test {
                None => true,
                Some(_) if status == "healthy" => true,
                // Some engines leave the check to a service manager that is not there: then it is ours.
                Some(test) => self.is_healthy(id, test).await,
            };
            if is_healthy {
                return Ok(self.service(id, &seen));
            }
            if status == "unhealthy" || began.elapsed() > patience(&seen) {
                let said = self.last_words(id).await;
                return Err(format!("the service '{alias}' did not become healthy:{said}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn is_healthy(&self, id: &str, test: &[Value]) -> bool {
        let words: Vec<&str> = test.iter().skip(1).filter_map(Value::as_str).collect();
        let shell = ["sh", "-c", words.first().copied().unwrap_or_default()];
        let command = if test[0] == "CMD-SHELL" { &shell[..] } else { &words[..] };
        matches!(run_in(&self.engine, id, None, command).await, Ok(0))
    }

    /// Returns the end of what a container said, to be put behind a colon.
    async fn last_words(&self, id: &str) -> String {
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail=20");
        let Ok(lines) = self.engine.lines(&path).await else { return String::new() };
        let bytes = lines.collect().await.map(|all| all.to_bytes()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).replace(|letter: char| letter.is_control() && letter != '\n', "");
        format!("\n{}", text.trim_end())
    }

    fn service(&self, id: &str, seen: &Value) -> Word {
        let ports = seen["NetworkSettings"]["Ports"].as_object().into_iter().flatten().filter_map(|(inside, bound)| {
            let outside = bound.as_array()?.first()?.get("HostPort")?.as_str()?;
            let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
            Some((inside.to_owned(), Word::string(outside)))
        });
        Word::object([
            ("id", Word::string(id)),
            ("network", Word::string(self.network.get().cloned().unwrap_or_default())),
            ("ports", Word::object(ports)),
        ])
    }

    /// Returns what a container is made from; its image is there afterwards.
    async fn body(&self, spec: &ContainerSpec, alias: Option<&str>) -> Result<Value, String> {
        let Asked { config, mut host, mut env } = options::read(&spec.options)?;
        self.pull(&spec.image, spec.credentials.as_ref()).await?;
        env.extend(spec.env.iter().map(|(name, value)| format!("{name}={value}")));
        let mut body = json!({ "Image": spec.image, "Labels": self.labels, "Env": env });
        let fields = body.as_object_mut().expect("it was made as an object");
        fields.extend(config);
        let (mut binds, mut volumes) = (Vec::new(), Map::new());
        for volume in &spec.volumes {
            match options::volume(volume, &self.name)? {
                (Some(name), bind) => {
                    let made = json!({ "Name": name, "Labels": self.labels });
                    self.engine.post("/volumes/create", Some(made)).await.map_err(|error| error.to_string())?;
                    binds.push(bind);
                }
                (None, inside) => drop(volumes.insert(inside, json!({}))),
            }
        }
        let (mut exposed, mut bound) = (Map::new(), Map::new());
        for port in &spec.ports {
            let (inside, outside) = options::port(port)?;
            let outside = outside.map(|outside| outside.to_string()).unwrap_or_default();
            // Only this machine is to reach it: a service is a job's, not the network's.
            bound.insert(inside.clone(), json!([{ "HostIp": "127.0.0.1", "HostPort": outside }]));
            exposed.insert(inside, json!({}));
        }
        host.insert("Binds".into(), json!(binds));
        host.insert("PortBindings".into(), Value::Object(bound));
        host.insert("LogConfig".into(), json!({ "Type": "json-file" }));
        if let Some(network) = self.network.get() {
            host.insert("NetworkMode".into(), network.as_str().into());
            let aliases: Vec<&str> = alias.into_iter().collect();
            body["NetworkingConfig"] = json!({ "EndpointsConfig": { network: { "Aliases": aliases } } });
        }
        body["ExposedPorts"] = Value::Object(exposed);
        body["Volumes"] = Value::Object(volumes);
        body["HostConfig"] = Value::Object(host);
        Ok(body)
    }

    async fn start(&self, body: Value) -> Result<String, EngineError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let made = self.engine.post(&format!("/containers/create?name={}-{number}", self.name), Some(body)).await?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        self.engine.post(&format!("/containers/{id}/start"), None).await?;
        Ok(id)
    }

    /// Gets an image, unless it is there.
    pub(crate) async fn pull(&self, image: &str, credentials: Option<&(String, String)>) -> Result<(), String> {
        pull(&self.engine, image, credentials).await
    }

    /// Builds an image from a Dockerfile and the folder that it stands in, telling what it says line by line. Returns its name.
    pub(crate) async fn build(&self, file: &Path, tell: mpsc::Sender<String>) -> Result<String, String> {
        let (folder, name) = (file.parent().unwrap_or(file), file.file_name().unwrap_or_default().to_string_lossy());
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let image = format!("{}:action-{number}", self.name);
        let packed = tokio::process::Command::new("tar").arg("-C").arg(folder).args(["-cf", "-", "."]).output().await;
        let packed = packed.map_err(|error| format!("the action's folder cannot be packed with tar: {error}"))?;
        if !packed.status.success() || packed.stdout.len() > CONTEXT_BYTES_MAX {
            return Err(format!("the action's folder cannot be packed, or has more than {CONTEXT_BYTES_MAX} bytes"));
        }
        let path = format!(
            "/build?t={}&dockerfile={}&rm=1&forcerm=1&labels={}",
            escaped(&image),
            escaped(&name),
            escaped(&self.labels.to_string())
        );
        let body = Some((Bytes::from(packed.stdout), "application/x-tar"));
        let told = |why: &dyn std::fmt::Display| format!("its image cannot be built: {why}");
        let answer = self.engine.stream(&path, body, &[]).await.map_err(|error| told(&error))?;
        read_lines(answer, Some(tell)).await.map_err(|why| told(&why))?;
        self.built.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned(), image.clone());
        Ok(image)
    }

    /// Returns the image that was built from this Dockerfile.
    pub(crate) fn built(&self, file: &Path) -> Option<String> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }

    /// Returns whom files of root's in a container are to be given, where they would be somebody else's outside.
    fn owner(&self) -> Option<String> {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        (!user.is_root() && !self.is_rootless).then(|| format!("{}:{}", user.as_raw(), group.as_raw()))
    }

    /// Makes what an action's container wrote ours.
    pub(crate) async fn hand_back(&self, image: &str, workspace: &Workspace) {
        let Some(owner) = self.owner() else { return };
        let mut fresh = self.fresh(image, workspace, Some(vec!["chown".to_owned()]));
        fresh.body["User"] = "0".into();
        let folders = ["/github/workspace", "/github/home", "/github/runner_temp"];
        fresh.body["Cmd"] = json!(["-R", owner.as_str()].into_iter().chain(folders).collect::<Vec<_>>());
        let done = async {
            let id = self.start(fresh.body.clone()).await?;
            self.engine.post(&format!("/containers/{id}/wait"), None).await
        };
        if let Err(error) = done.await {
            tracing::debug!("an action's files cannot be handed back: {error}");
        }
    }

    /// Returns the container that a Docker action is to run in.
    pub(crate) fn fresh(&self, image: &str, workspace: &Workspace, entrypoint: Option<Vec<String>>) -> Fresh {
        let mounts = Mounts::of_action(workspace);
        let mut body = json!({
            "Image": image, "Labels": self.labels, "WorkingDir": "/github/workspace",
            "HostConfig": { "LogConfig": { "Type": "json-file" } },
        });
        if let Some(network) = self.network.get() {
            body["HostConfig"]["NetworkMode"] = network.as_str().into();
        }
        add_binds(&mut body, &mounts);
        Fresh { engine: self.engine.clone(), mounts, body, entrypoint }
    }

    /// Ends and removes everything. What containers wrote into the job's folders becomes ours, so that it can be removed.
    pub(crate) async fn end(&self) {
        if let (Some(home), Some(owner)) = (self.home(), self.owner()) {
            // An image without chown leaves its files to the machine's owner.
            let _ = home.run(Some("0"), &["chown", "-R", owner.as_str(), "/__w", "/__t", "/__a", "/github/home"]).await;
        }
        remove_all(&self.engine, &format!("{LABEL_JOB}={}", self.root.display())).await;
    }
}

/// Adds the job's folders.
/// Gets an image, unless it is there.
pub(super) async fn pull(engine: &Engine, image: &str, credentials: Option<&(String, String)>) -> Result<(), String> {
    if engine.get(&format!("/images/{}/json", escaped(image))).await.is_ok() {
        return Ok(());
    }
    let told = |why: &dyn std::fmt::Display| format!("the image {image} cannot be had: {why}");
    let login = credentials.map(|(username, password)| {
        let login = json!({ "username": username, "password": password, "serveraddress": registry_of(image) });
        base64::engine::general_purpose::URL_SAFE.encode(login.to_string())
    });
    let headers: Vec<_> = login.iter().map(|login| ("x-registry-auth", login.as_str())).collect();
    let (name, tag) = tag_of(image);
    let path = format!("/images/create?fromImage={}&tag={}", escaped(name), escaped(tag));
    let answer = engine.stream(&path, None, &headers).await.map_err(|error| told(&error))?;
    read_lines(answer, None).await.map_err(|why| told(&why))
}

fn add_binds(body: &mut Value, mounts: &Mounts) {
    let mut binds: Vec<String> = body["HostConfig"]["Binds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    binds.extend(mounts.binds());
    body["HostConfig"]["Binds"] = json!(binds);
}

/// Returns how long a service may take to become healthy: as long as its own words let it, and a little more.
fn patience(seen: &Value) -> Duration {
    let check = &seen["Config"]["Healthcheck"];
    let time = |key: &str| Duration::from_nanos(check[key].as_u64().unwrap_or(0));
    let retries = u32::try_from(check["Retries"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX).clamp(3, 1000);
    let own = time("StartPeriod") + (time("Interval") + time("Timeout")) * retries;
    own.max(HEALTHY_WAIT)
}

/// Splits an image's name from its tag; a digest is a tag to the engine.
fn tag_of(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => registry,
        _ => "https://index.docker.io/v1/",
    }
}

/// Reads an answer of many lines of JSON. An error among them is one.
async fn read_lines(mut answer: Incoming, tell: Option<mpsc::Sender<String>>) -> Result<(), String> {
    let mut waiting = Vec::new();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Ok(data) = frame.into_data() else { continue };
        waiting.extend_from_slice(&data);
        while let Some(end) = waiting.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            take_line(&line, tell.as_ref()).await?;
        }
        if waiting.len() > LINE_BYTES_MAX {
            return Err("the engine's answer has a line that is too long".into());
        }
    }
    take_line(&waiting, tell.as_ref()).await
}

async fn take_line(line: &[u8], tell: Option<&mpsc::Sender<String>>) -> Result<(), String> {
    let Ok(told) = serde_json::from_slice::<Value>(line) else { return Ok(()) };
    if let Some(error) = told["error"].as_str() {
        return Err(error.trim().to_owned());
    }
    let text = told["stream"].as_str().map(str::trim_end).filter(|text| !text.is_empty());
    if let (Some(text), Some(tell)) = (text, tell) {
        // Whoever listens listens to the end.
        let _ = tell.send(text.to_owned()).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_taken_apart() {
        assert_eq!(tag_of("node"), ("node", "latest"));
        assert_eq!(tag_of("localhost:5000/a/b"), ("localhost:5000/a/b", "latest"));
        assert_eq!(tag_of("ghcr.io/a/b:1.2"), ("ghcr.io/a/b", "1.2"));
        assert_eq!(tag_of("a@sha256:00"), ("a", "sha256:00"));
        assert_eq!(registry_of("ghcr.io/a/b"), "ghcr.io");
        assert_eq!(registry_of("library/node"), "https://index.docker.io/v1/");
    }
}

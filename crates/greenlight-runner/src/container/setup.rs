//! A job's containers, made before its first step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use greenlight_workflow::{ContainerSpec, Value};

use super::job::{Containers, StandsFor};
use crate::job::JobRun;
use crate::process::Place;
use crate::{shell, variables};

/// How many services a job may have.
const SERVICES_MAX: usize = 64;

impl JobRun {
    /// Returns what the job has in an engine, which is found when it is first asked for. The error is the end of "step …".
    pub(crate) async fn containers(&self) -> Result<&Arc<Containers>, String> {
        let open = || async { Containers::open(&self.workspace).await.map(Arc::new) };
        self.containers.get_or_try_init(open).await.map_err(|error| format!("needs a container, and {error}"))
    }

    /// Starts the job's services and its container, and waits until the services are healthy.
    pub(crate) async fn start_containers(&mut self, home: Option<ContainerSpec>) -> Result<(), String> {
        let seen = self.contexts.outside(&self.order.inputs, &BTreeMap::new());
        let services = self.job.services.as_ref().map(|services| services.evaluate(&seen)).transpose();
        let services = services.map_err(|error| format!("the job's services: {}", error.message))?.unwrap_or_default();
        if home.is_none() && services.is_empty() {
            return Ok(());
        }
        if services.len() > SERVICES_MAX {
            return Err(format!("the job has {} services; at most {SERVICES_MAX} are started", services.len()));
        }
        let containers = self.containers().await.map_err(|why| format!("job '{}' {why}", self.order.job_id))?.clone();
        self.log.line(0, &format!("Containers: {}", containers.engine.told())).await;
        containers.make_network().await?;
        let mut started = Vec::new();
        for (alias, spec) in &services {
            self.log.line(0, &format!("Starting the service '{alias}' from {}", spec.image)).await;
            started.push((alias, containers.start_service(alias, spec).await?));
        }
        if let Some(spec) = home {
            self.log.line(0, &format!("Starting the job's container from {}", spec.image)).await;
            self.enter(&containers, &spec).await?;
        }
        let mut told = Vec::new();
        for (alias, id) in started {
            told.push((alias.clone(), containers.wait_for(alias, &id).await?));
            self.log.line(0, &format!("The service '{alias}' is there")).await;
        }
        let mut known = containers.told();
        known.push(("services".into(), Value::object(told)));
        self.contexts.set_containers(known);
        Ok(())
    }

    async fn enter(&mut self, containers: &Containers, spec: &ContainerSpec) -> Result<(), String> {
        let path = self.inherited.get("PATH").map(String::as_str).unwrap_or_default();
        let mut nodes: Vec<(PathBuf, String)> = Vec::new();
        let set = self.options.nodes.iter().map(|(version, node)| (node.clone(), format!("/__e/node{version}")));
        nodes.extend(set.chain(shell::find("node", path).map(|node| (node, "/__e/node".to_owned()))));
        nodes.dedup_by(|one, other| one.0 == other.0);
        self.workspace
            .open_to_all()
            .map_err(|error| format!("the job's folders cannot be opened to its container: {error}"))?;
        let stands_for = if self.job.container.is_some() { StandsFor::Itself } else { StandsFor::Machine };
        let image_env = containers.start_home(spec, stands_for, &self.workspace, &nodes).await?;
        let path = image_env.get("PATH").cloned().unwrap_or_else(|| variables::PATH.to_owned());
        let home = self.workspace.home.display().to_string();
        self.inherited = BTreeMap::from([("PATH".to_owned(), path), ("HOME".to_owned(), home)]);
        if let Some(home) = containers.home() {
            self.place = Place::Container(home);
        }
        Ok(())
    }
}

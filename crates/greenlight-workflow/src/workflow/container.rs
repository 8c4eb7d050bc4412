//! The containers of a job: the one its steps run in, and those beside it.

use crate::expression::{Context, ExpressionError};
use crate::template::{Condition, Template, Tree};
use crate::value::Value;

/// What may stand before the name of an image.
pub(crate) const DOCKER_PREFIX: &str = "docker://";

/// A container, as it was written.
#[derive(Clone, Debug)]
pub struct Container {
    /// What was written: an image, a mapping, or an expression that comes to either.
    pub tree: Tree,
}

/// The containers beside a job, as they were written.
#[derive(Clone, Debug)]
pub struct Services {
    /// What was written: containers by name, or an expression that comes to them.
    pub tree: Tree,
}

/// An image that is to be made of a job's runner.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The image's name.
    pub image_name: Template,
    /// Which line of versions it belongs to, as `1.*`.
    pub version: Template,
    /// Whether it is made.
    pub condition: Condition,
}

/// A container with everything known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image, without `docker://`.
    pub image: String,
    /// Variables inside it.
    pub env: Vec<(String, String)>,
    /// Ports that are opened, as `8080` or `80:8080/tcp`.
    pub ports: Vec<String>,
    /// Folders and volumes that are seen inside, as `/host:/inside`.
    pub volumes: Vec<String>,
    /// Further options of `docker create`.
    pub options: String,
    /// User and password for the image's registry.
    pub credentials: Option<(String, String)>,
    /// What is started instead of the image's entry point.
    pub entrypoint: Option<String>,
    /// What it is started with.
    pub command: Option<String>,
}

impl ContainerSpec {
    /// Returns a container of an image, as it is.
    pub fn of_image(image: &str) -> ContainerSpec {
        spec(&Value::string(image)).unwrap_or_default()
    }
}

impl Container {
    /// Returns the container in these contexts; None where the image comes to nothing, which asks for no container.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Option<ContainerSpec>, ExpressionError> {
        self.tree.evaluate(context).map(|value| spec(&value))
    }
}

impl Services {
    /// Returns the containers by name in these contexts, without those whose image comes to nothing.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Vec<(String, ContainerSpec)>, ExpressionError> {
        let value = self.tree.evaluate(context)?;
        let Some(services) = value.as_object() else { return Ok(Vec::new()) };
        Ok(services.iter().filter_map(|(name, value)| Some((name.to_owned(), spec(value)?))).collect())
    }
}

fn spec(value: &Value) -> Option<ContainerSpec> {
    let text = |value: &Value| value.coerce_string().to_string();
    let image = |value: &Value| {
        let image = value.coerce_string();
        image.strip_prefix(DOCKER_PREFIX).unwrap_or(&image).to_owned()
    };
    let texts = |value: &Value| value.as_array().unwrap_or_default().iter().map(text).collect();
    let optional = |value: &Value| (!value.is_null()).then(|| text(value));
    let spec = match value {
        Value::Object(_) => ContainerSpec {
            image: image(value.get("image")),
            env: value
                .get("env")
                .as_object()
                .into_iter()
                .flat_map(|env| env.iter())
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect(),
            ports: texts(value.get("ports")),
            volumes: texts(value.get("volumes")),
            options: text(value.get("options")),
            credentials: Some(value.get("credentials"))
                .filter(|credentials| !credentials.is_null())
                .map(|credentials| (text(credentials.get("username")), text(credentials.get("password")))),
            entrypoint: optional(value.get("entrypoint")),
            command: optional(value.get("command")),
        },
        scalar => ContainerSpec { image: image(scalar), ..ContainerSpec::default() },
    };
    (!spec.image.is_empty()).then_some(spec)
}

//! Asks a running server through `/api/v1`.

use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use super::{Exit, Settings, environment};
use crate::api::shape;
use crate::config;

/// How long the server may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Most that an answer may hold.
const ANSWER_SIZE_MAX: usize = 16 << 20;

/// Which server is asked, and about which repository.
#[derive(Debug, Args)]
pub struct Server {
    /// The address of the server's pages [default: `pages.listen` of the settings].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The repository; not needed where the server has only one.
    #[arg(long, short = 'R', value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached.
    #[error("no server answers at {base}: start it with `greenlight serve`, or name another with --server ({reason})")]
    Unreachable {
        /// Its address.
        base: String,
        /// Why.
        reason: String,
    },
    /// It said no.
    #[error("{message}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The question is incomplete.
    #[error("{0}")]
    Incomplete(String),
    /// Its answer cannot be understood.
    #[error("the server's answer cannot be understood: {0}")]
    Strange(String),
}

impl ClientError {
    /// Returns the code that the program ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused { status: 404, .. } => Exit::Missing,
            Self::Refused { .. } | Self::Strange(_) => Exit::Failed,
            Self::Incomplete(_) => Exit::Usage,
        }
    }
}

/// A connection to one server.
pub struct Client {
    base: String,
    http: reqwest::Client,
    repo: Option<String>,
}

impl Client {
    /// Finds out where the server is.
    pub fn new(server: &Server) -> anyhow::Result<Self> {
        let base = match &server.server {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let shown = config::show(server.settings.config.as_deref(), &environment())?;
                let listen =
                    shown.into_iter().find(|setting| setting.key == "pages.listen").and_then(|setting| setting.value);
                format!("http://{}", listen.unwrap_or_default())
            }
        };
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { base, http, repo: server.repo.clone() })
    }

    /// Returns the repository that is meant.
    pub async fn repository(&self) -> Result<String, ClientError> {
        if let Some(repo) = &self.repo {
            return Ok(repo.clone());
        }
        let known: shape::Repositories = self.get("/api/v1/repos").await?;
        match known.repositories.as_slice() {
            [one] => Ok(one.full_name.clone()),
            [] => Err(ClientError::Incomplete("the server has no repository yet".into())),
            several => {
                let names: Vec<&str> = several.iter().map(|repository| repository.full_name.as_str()).collect();
                Err(ClientError::Incomplete(format!("say which repository with --repo: {}", names.join(", "))))
            }
        }
    }

    /// Returns the repository, where one was named.
    pub fn repository_named(&self) -> Option<&str> {
        self.repo.as_deref()
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.http.get(self.url(path)).timeout(ANSWER_WITHIN)).await
    }

    /// Submits a wish.
    pub async fn post(&self, path: &str) -> Result<shape::Answer, ClientError> {
        self.make(path).await
    }

    /// Asks for something to be made.
    pub async fn make<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.http.post(self.url(path)).timeout(ANSWER_WITHIN)).await
    }

    /// Asks for a text that comes bit by bit.
    pub async fn stream(&self, path: &str) -> Result<reqwest::Response, ClientError> {
        let response = self.http.get(self.url(path)).send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut reason = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(deeper) = cause {
            reason = deeper.to_string();
            cause = deeper.source();
        }
        ClientError::Unreachable { base: self.base.clone(), reason }
    }

    async fn read<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if body.len() > ANSWER_SIZE_MAX {
            return Err(ClientError::Strange(format!("it is larger than {ANSWER_SIZE_MAX} bytes")));
        }
        serde_json::from_slice(&body).map_err(|error| ClientError::Strange(error.to_string()))
    }
}

async fn refused(response: reqwest::Response) -> ClientError {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let message = match serde_json::from_str::<shape::Answer>(&text) {
        Ok(answer) => answer.message,
        Err(_) => format!("the server answered {status}"),
    };
    ClientError::Refused { status: status.as_u16(), message }
}

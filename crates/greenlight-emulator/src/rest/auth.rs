//! Who asks, and what they may do.

use aws_lc_rs::digest;
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::{ApiError, Call};
use crate::model::{At, InstallationToken, Model, Permission, Repository, Token, app::allows};

/// How long the token of an App itself may live, with room for clocks that differ: ten minutes and one.
const APP_TOKEN_SECONDS_MAX: i64 = 660;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    Anonymous,
    User {
        id: u64,
        token: Token,
        key: String,
    },
    /// An App as itself, by its signed token.
    App {
        id: u64,
    },
    /// An App in one account.
    Installation {
        app: u64,
        bot: u64,
        token: InstallationToken,
        key: String,
    },
}

/// What a request wants of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Read,
    Write,
    Admin,
}

/// A repository that the caller may know of.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub id: u64,
    pub permission: Permission,
    pub private: bool,
}

#[derive(Deserialize)]
struct AppClaims {
    iss: serde_json::Value,
    iat: Option<i64>,
    exp: i64,
}

impl Caller {
    /// Returns the account that acts: a user, or an App's bot.
    pub fn account(&self) -> Option<u64> {
        match self {
            Caller::User { id, .. } => Some(*id),
            Caller::Installation { bot, .. } => Some(*bot),
            Caller::Anonymous | Caller::App { .. } => None,
        }
    }

    /// Returns the App that acts, if it is one.
    pub fn app(&self) -> Option<u64> {
        match self {
            Caller::App { id } => Some(*id),
            Caller::Installation { app, .. } => Some(*app),
            Caller::Anonymous | Caller::User { .. } => None,
        }
    }

    /// Returns the name under which requests are counted; nothing for anonymous ones.
    pub fn budget_key(&self) -> String {
        match self {
            Caller::Anonymous => String::new(),
            Caller::User { key, .. } => key.clone(),
            Caller::App { id } => format!("app:{id}"),
            Caller::Installation { token, .. } => format!("installation:{}", token.installation),
        }
    }

    /// Returns what the record calls the caller.
    pub fn name(&self, model: &Model) -> Option<String> {
        match self {
            Caller::Anonymous => None,
            Caller::User { id, .. } => Some(model.login(*id).to_owned()),
            Caller::App { id } => model.apps.get(id).map(|app| format!("app/{}", app.slug)),
            Caller::Installation { bot, .. } => Some(model.login(*bot).to_owned()),
        }
    }
}

/// Returns the token in a request's headers, as GitHub takes it: `token`, `bearer`, or either half of basic credentials.
pub fn token_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let token = if password.is_empty() || password == "x-oauth-basic" { user } else { password };
        return Some(token.to_owned());
    }
    (scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer")).then(|| rest.to_owned())
}

/// Finds out who asks. A token that is not known is refused, never taken for anonymous.
pub fn identify(model: &Model, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(Caller::Anonymous);
    }
    let bad = || ApiError::new(401, "Bad credentials".to_owned());
    let token = token_of(headers).ok_or_else(bad)?;
    let key = hex::encode(&digest::digest(&digest::SHA256, token.as_bytes()).as_ref()[..8]);
    if let Some(known) = model.tokens.get(&token) {
        return if known.revoked { Err(bad()) } else { Ok(Caller::User { id: known.user, token: known.clone(), key }) };
    }
    if let Some(known) = model.installation_tokens.get(&token) {
        if known.expires_at <= At::now() {
            return Err(bad());
        }
        let installation = model.installations.get(&known.installation).ok_or_else(bad)?;
        let app = model.apps.get(&installation.app).ok_or_else(bad)?;
        return Ok(Caller::Installation { app: app.id, bot: app.bot, token: known.clone(), key });
    }
    if token.matches('.').count() == 2 {
        return identify_app(model, &token);
    }
    Err(bad())
}

fn identify_app(model: &Model, token: &str) -> Result<Caller, ApiError> {
    let undecodable = || ApiError::new(401, "A JSON web token could not be decoded".to_owned());
    let claims: AppClaims = jsonwebtoken::dangerous::insecure_decode(token).map_err(|_| undecodable())?.claims;
    let issuer = claims.iss.as_str().map(str::to_owned).unwrap_or_else(|| claims.iss.to_string());
    let by_client = issuer.strip_prefix("Iv23emulated").map(|id| id.trim_start_matches('0').to_owned());
    let id: Option<u64> = by_client.unwrap_or(issuer).parse().ok();
    let app =
        id.and_then(|id| model.apps.get(&id)).ok_or_else(|| ApiError::new(404, "Integration not found".to_owned()))?;
    let key = DecodingKey::from_rsa_pem(app.public_key.as_bytes()).map_err(|_| undecodable())?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_required_spec_claims(&["exp"]);
    validation.validate_aud = false;
    let verified = jsonwebtoken::decode::<AppClaims>(token, &key, &validation);
    match verified {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::ExpiredSignature) => {
            return Err(ApiError::new(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires".to_owned()));
        }
        Err(_) => return Err(undecodable()),
    }
    let now = At::now().seconds();
    if claims.iat.is_some_and(|issued| claims.exp - issued > APP_TOKEN_SECONDS_MAX)
        || claims.exp > now + APP_TOKEN_SECONDS_MAX
    {
        return Err(ApiError::new(401, "'Expiration time' claim ('exp') is too far in the future".to_owned()));
    }
    Ok(Caller::App { id: app.id })
}

impl Call {
    /// Returns the account that acts, or refuses.
    pub fn actor(&self) -> Result<u64, ApiError> {
        self.caller.account().ok_or_else(|| ApiError::new(401, "Requires authentication".to_owned()))
    }

    /// Finds a repository that the caller may know of.
    pub fn reach(&self, owner: &str, name: &str) -> Result<Reach, ApiError> {
        let look = self.site.look();
        let repository = look.repository(owner, name).ok_or_else(ApiError::not_found)?;
        self.reach_in(&look, repository)
    }

    /// Finds a repository by its id.
    pub fn reach_id(&self, id: u64) -> Result<Reach, ApiError> {
        let look = self.site.look();
        let repository = look.repositories.get(&id).ok_or_else(ApiError::not_found)?;
        self.reach_in(&look, repository)
    }

    fn reach_in(&self, model: &Model, repository: &Repository) -> Result<Reach, ApiError> {
        let permission = permission_of(model, &self.caller, repository);
        let installed = matches!(&self.caller, Caller::App { id } if model.installation_of(*id, repository).is_some());
        if permission < Permission::Read && !installed {
            return Err(ApiError::not_found());
        }
        Ok(Reach { id: repository.id, permission, private: repository.private })
    }

    /// Refuses unless the caller may do this: a user by role and scope, an installation by the App's permission of this name.
    pub fn allow(&self, reach: &Reach, level: Level, permission: &str, scope: &str) -> Result<(), ApiError> {
        match &self.caller {
            Caller::Anonymous if level == Level::Read && reach.permission >= Permission::Read => Ok(()),
            Caller::Anonymous => Err(ApiError::new(401, "Requires authentication".to_owned())),
            Caller::App { .. } => {
                Err(ApiError::new(401, "A JSON web token cannot be used here; make an installation token".to_owned()))
            }
            Caller::Installation { token, .. } => {
                let wanted = if level == Level::Read { "read" } else { "write" };
                let reads_public = level == Level::Read && !reach.private;
                let covered = reach.permission >= Permission::Write || reads_public;
                if covered && (reads_public || allows(&token.permissions, permission, wanted)) {
                    Ok(())
                } else {
                    Err(ApiError::forbidden("Resource not accessible by integration"))
                }
            }
            Caller::User { token, .. } => {
                let needed = match level {
                    Level::Read => Permission::Read,
                    Level::Write => Permission::Write,
                    Level::Admin => Permission::Admin,
                };
                if reach.permission < needed {
                    return Err(ApiError::forbidden(if level == Level::Admin {
                        "Must have admin rights to Repository."
                    } else {
                        "Resource not accessible by personal access token"
                    }));
                }
                if (level != Level::Read || reach.private) && !token.allows(scope, reach.private) {
                    return Err(ApiError::forbidden("Resource not accessible by personal access token"));
                }
                Ok(())
            }
        }
    }
}

/// Returns what a caller may do in a repository at most, whatever its token says.
pub fn permission_of(model: &Model, caller: &Caller, repository: &Repository) -> Permission {
    match caller {
        Caller::User { id, .. } => model.permission(repository, Some(*id)),
        Caller::Installation { token, .. } => {
            let installed = model
                .installations
                .get(&token.installation)
                .is_some_and(|installation| installation.covers(repository));
            let chosen = token.repositories.as_ref().is_none_or(|chosen| chosen.contains(&repository.id));
            if installed && chosen { Permission::Admin } else { model.permission(repository, None) }
        }
        Caller::Anonymous | Caller::App { .. } => model.permission(repository, None),
    }
}

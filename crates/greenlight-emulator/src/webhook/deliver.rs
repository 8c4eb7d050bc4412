//! Delivering: one lane per hook, so that order is kept within it and a slow receiver delays nobody else.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{Delivery, DeliveryLog};
use crate::{
    fault::{FaultKind, Strike},
    feed,
    model::{At, Hook, hook::HookConfig},
    site::{GHES_VERSION, Profile, Site},
};

/// How long a receiver may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a receiver's answer is kept.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The size above which GitHub makes no delivery at all.
const PAYLOAD_BYTES_MAX: usize = 25 * 1024 * 1024;
/// How long a delivery that is to be overtaken waits for the one behind it.
const OVERTAKEN_WAIT: Duration = Duration::from_secs(5);

/// Something that one hook is to be told.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub hook: u64,
    pub event: &'static str,
    pub action: Option<String>,
    pub repository: Option<u64>,
    pub installation: Option<u64>,
    pub payload: Map<String, Value>,
}

/// One delivery on its way.
#[derive(Clone, Debug)]
struct Parcel {
    guid: String,
    hook: u64,
    config: HookConfig,
    target_kind: &'static str,
    target_id: u64,
    event: &'static str,
    action: Option<String>,
    repository: Option<u64>,
    installation: Option<u64>,
    payload: Arc<str>,
    redelivery: bool,
    strike: Option<Strike>,
}

/// The lanes of all hooks, and their logs.
pub struct Webhooks {
    pub log: DeliveryLog,
    client: reqwest::Client,
    last_id: AtomicU64,
    site: Mutex<Weak<Site>>,
    lanes: Mutex<HashMap<u64, mpsc::UnboundedSender<Parcel>>>,
}

impl Webhooks {
    /// Returns lanes that carry nothing yet.
    pub fn new() -> Result<Webhooks, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(DELIVERY_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        // Delivery ids go on from the clock, so that a restart repeats none.
        let last_id = AtomicU64::new(u64::try_from(At::now().0).unwrap_or(1).saturating_mul(1000));
        Ok(Webhooks {
            log: DeliveryLog::default(),
            client,
            last_id,
            site: Mutex::new(Weak::new()),
            lanes: Mutex::default(),
        })
    }

    /// Tells the lanes where they belong, so that they can note what they did.
    pub fn attach(&self, site: &Arc<Site>) {
        *self.site.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(site);
    }

    /// Puts an announcement on its hook's lane.
    pub fn send(&self, site: &Site, hook: &Hook, mut announcement: Announcement) {
        let strike = site.faults.for_delivery(announcement.event, hook.id);
        if strike.as_ref().is_some_and(|strike| strike.kind == FaultKind::WebhookNeverMade) {
            let fields = json!({"hook": hook.id, "event": announcement.event, "action": announcement.action, "fault": FaultKind::WebhookNeverMade.name()});
            site.feed.add(feed::Kind::Delivery, fields);
            return;
        }
        if let Some(installation) = announcement.installation {
            let shown = json!({"id": installation, "node_id": crate::render::node_id("Installation", installation)});
            announcement.payload.entry("installation").or_insert(shown);
        }
        let payload = Value::Object(announcement.payload).to_string();
        if payload.len() > PAYLOAD_BYTES_MAX {
            return;
        }
        self.queue(Parcel {
            guid: uuid::Uuid::new_v4().to_string(),
            hook: hook.id,
            config: hook.config.clone(),
            target_kind: hook.target.kind(),
            target_id: hook.target.id(),
            event: announcement.event,
            action: announcement.action,
            repository: announcement.repository,
            installation: announcement.installation,
            payload: payload.into(),
            redelivery: false,
            strike,
        });
    }

    /// Delivers once more what was delivered before, under the same id.
    pub fn send_again(&self, site: &Site, hook: &Hook, earlier: &Delivery) {
        self.queue(Parcel {
            guid: earlier.guid.clone(),
            hook: hook.id,
            config: hook.config.clone(),
            target_kind: hook.target.kind(),
            target_id: hook.target.id(),
            event: earlier.event,
            action: earlier.action.clone(),
            repository: earlier.repository,
            installation: earlier.installation,
            payload: Arc::clone(&earlier.payload),
            redelivery: true,
            strike: site
                .faults
                .for_delivery(earlier.event, hook.id)
                .filter(|strike| strike.kind != FaultKind::WebhookNeverMade),
        });
    }

    fn queue(&self, parcel: Parcel) {
        let site = self.site.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(parcel.hook).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(run_lane(site, receiver));
            sender
        });
        // The lane ends only together with the site.
        let _ = lane.send(parcel);
    }
}

/// Delivers what comes along one lane, in order but for the faults.
async fn run_lane(site: Weak<Site>, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
    while let Some(parcel) = parcels.recv().await {
        let Some(site) = site.upgrade() else { return };
        match parcel.strike.as_ref().map(|strike| strike.kind) {
            Some(FaultKind::WebhookDelayed) => {
                tokio::spawn(async move {
                    let wait = parcel.strike.as_ref().map_or(0, |strike| strike.milliseconds);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    deliver(&site, &parcel).await;
                });
            }
            Some(FaultKind::WebhookReordered) => {
                if let Ok(Some(next)) = tokio::time::timeout(OVERTAKEN_WAIT, parcels.recv()).await {
                    deliver(&site, &next).await;
                }
                deliver(&site, &parcel).await;
            }
            Some(FaultKind::WebhookDoubled) => {
                deliver(&site, &parcel).await;
                deliver(&site, &parcel).await;
            }
            _ => deliver(&site, &parcel).await,
        }
    }
}

/// Makes one attempt, and notes it in the log and in the feed.
async fn deliver(site: &Site, parcel: &Parcel) {
    let webhooks = &site.webhooks;
    let (content_type, body) = encode(parcel);
    let headers = headers(site, parcel, content_type, &body);
    let started = Instant::now();
    let delivered_at = At::now();
    let lost = parcel.strike.as_ref().is_some_and(|strike| strike.kind == FaultKind::WebhookLost);
    let outcome = if lost {
        Err(("failed to connect to host".to_owned(), 502))
    } else {
        post(webhooks, parcel, &headers, body).await
    };
    let duration = (started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let (status, status_code, response_headers, response_body) = match outcome {
        Ok((code, headers, body)) => (
            if (200..300).contains(&code) { "OK".to_owned() } else { format!("Invalid HTTP Response: {code}") },
            code,
            headers,
            body,
        ),
        Err((message, code)) => (message, code, Vec::new(), String::new()),
    };
    let delivery = Arc::new(Delivery {
        id: webhooks.last_id.fetch_add(1, Ordering::Relaxed) + 1,
        guid: parcel.guid.clone(),
        hook: parcel.hook,
        event: parcel.event,
        action: parcel.action.clone(),
        repository: parcel.repository,
        installation: parcel.installation,
        redelivery: parcel.redelivery,
        delivered_at,
        url: parcel.config.url.clone(),
        request_headers: headers,
        payload: Arc::clone(&parcel.payload),
        duration,
        status,
        status_code,
        response_headers,
        response_body,
    });
    note(site, parcel, &delivery);
    webhooks.log.add(delivery);
}

fn note(site: &Site, parcel: &Parcel, delivery: &Delivery) {
    let payload: Value = serde_json::from_str(&delivery.payload).unwrap_or(Value::Null);
    let fields = json!({
        "hook": delivery.hook,
        "id": delivery.id,
        "guid": delivery.guid,
        "event": delivery.event,
        "action": delivery.action,
        "repository": payload["repository"]["full_name"],
        "url": delivery.url,
        "status": delivery.status_code,
        "message": delivery.status,
        "duration": delivery.duration,
        "redelivery": delivery.redelivery,
        "fault": parcel.strike.as_ref().map(|strike| strike.kind.name()),
        "started_at": delivery.delivered_at.0,
        "payload": payload,
    });
    site.feed.add(feed::Kind::Delivery, fields);
    let mut change = site.change();
    if let Some(hook) = change.hooks.get_mut(&delivery.hook) {
        let word = if (200..300).contains(&delivery.status_code) { "active" } else { "misconfigured" };
        hook.last_response = Some((delivery.status_code, word.to_owned(), delivery.status.clone()));
    }
}

fn encode(parcel: &Parcel) -> (&'static str, Vec<u8>) {
    if parcel.config.content_type == "form" {
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &parcel.payload).finish();
        ("application/x-www-form-urlencoded", body.into_bytes())
    } else {
        ("application/json", parcel.payload.as_bytes().to_vec())
    }
}

fn headers(site: &Site, parcel: &Parcel, content_type: &str, body: &[u8]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = vec![
        ("Accept".to_owned(), "*/*".to_owned()),
        ("Content-Type".to_owned(), content_type.to_owned()),
        ("User-Agent".to_owned(), "GitHub-Hookshot/emulated".to_owned()),
        ("X-GitHub-Delivery".to_owned(), parcel.guid.clone()),
        ("X-GitHub-Event".to_owned(), parcel.event.to_owned()),
        ("X-GitHub-Hook-ID".to_owned(), parcel.hook.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID".to_owned(), parcel.target_id.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type".to_owned(), parcel.target_kind.to_owned()),
    ];
    if site.profile == Profile::Ghes {
        let host = site.urls.web.trim_start_matches("http://").to_owned();
        headers.push(("X-GitHub-Enterprise-Version".to_owned(), GHES_VERSION.to_owned()));
        headers.push(("X-GitHub-Enterprise-Host".to_owned(), host));
    }
    if let Some(secret) = parcel.config.secret.as_deref().filter(|secret| !secret.is_empty()) {
        let sign = |algorithm| hex::encode(hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), body));
        headers.push(("X-Hub-Signature".to_owned(), format!("sha1={}", sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY))));
        headers.push(("X-Hub-Signature-256".to_owned(), format!("sha256={}", sign(hmac::HMAC_SHA256))));
    }
    headers
}

type Response = (u16, Vec<(String, String)>, String);

async fn post(
    webhooks: &Webhooks,
    parcel: &Parcel,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<Response, (String, u16)> {
    let mut request = webhooks.client.post(&parcel.config.url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let told = |error: reqwest::Error| {
        if error.is_timeout() { ("timed out".to_owned(), 504) } else { ("failed to connect to host".to_owned(), 502) }
    };
    let mut response = request.send().await.map_err(told)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        body.extend_from_slice(&chunk);
        if body.len() > RESPONSE_BYTES_MAX {
            body.truncate(RESPONSE_BYTES_MAX);
            break;
        }
    }
    Ok((status, headers, String::from_utf8_lossy(&body).into_owned()))
}

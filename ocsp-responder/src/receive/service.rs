//! The calls that the inner zone makes (docs/formats/feed.md).

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use ledger::origin::DeploymentName;
use status::{OutboxPath, PublicationPath};

use super::refused::Refused;
use super::tree::{Taken, Tree, storage};
use crate::alarms::AlarmCounts;
use crate::authority::hex;
use crate::chain;
use crate::clock::now;

/// The beginning of every path: the version of these calls.
const BASE: &str = "/feed/1/";
/// The header in which the caller names its deployment (promise 8).
const DEPLOYMENT: &str = "sigill-deployment";
/// The header with the code of a refusal.
const PROBLEM: &str = "sigill-problem";
/// A body is given up after this, as long as the largest CRL takes on a slow line.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);

/// Answers the inner zone.
pub(crate) struct Receiver {
    pub(crate) tree: Arc<Tree>,
    pub(crate) deployment: DeploymentName,
    pub(crate) refusals: Arc<AlarmCounts>,
}

/// So much of a body is gathered before it is written.
const GATHERED: usize = 1 << 20;

/// A call that is known.
enum Call {
    Put(PublicationPath),
    Read(PublicationPath),
    ReadRequest(OutboxPath),
    Inventory,
    Outbox,
}

impl Receiver {
    /// Answers one call; a refusal is counted, and told if somebody must look.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(self.answer(request).await.unwrap_or_else(|refused| {
            let (code, text) = (refused.code(), chain(&refused));
            if refused.is_alarm() {
                self.refusals.count(code);
                tracing::error!(problem.code = code, error = text, "a push was refused");
            }
            let line = format!("{code}: {text}; next: {}\n", refused.next());
            let mut response = response(refused.status(), line);
            let value = hyper::header::HeaderValue::from_static(code);
            response.headers_mut().insert(PROBLEM, value);
            response
        }))
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refused> {
        let named = request.headers().get(DEPLOYMENT).map(|value| value.as_bytes());
        let ours = self.deployment.to_string();
        if named != Some(ours.as_bytes()) {
            let found = String::from_utf8_lossy(named.unwrap_or_default()).into_owned();
            return Err(Refused::Deployment { found, ours });
        }
        match call(&request)? {
            Call::Put(path) => self.put(path, request.into_body()).await,
            Call::Read(path) => {
                let file = self.with_tree(move |tree| tree.read(&path)).await?;
                file.map(|bytes| response(StatusCode::OK, bytes))
                    .ok_or_else(|| Refused::NotHere { path: "such file".to_owned() })
            }
            Call::ReadRequest(path) => {
                let file = self.with_tree(move |tree| tree.read_outbox(&path)).await?;
                file.map(|bytes| response(StatusCode::OK, bytes))
                    .ok_or_else(|| Refused::NotHere { path: "such request".to_owned() })
            }
            Call::Inventory => self.with_tree(Tree::inventory).await.map(listing),
            Call::Outbox => self.with_tree(Tree::requests).await.map(listing),
        }
    }

    async fn put(
        &self,
        path: PublicationPath,
        body: Incoming,
    ) -> Result<Response<Full<Bytes>>, Refused> {
        let limit = path.max_octets();
        let found = body.size_hint().exact().ok_or(Refused::LengthUntold)?;
        if found > limit {
            return Err(Refused::Length { path: path.to_string(), found, limit });
        }
        let arrived = self.tree.incoming();
        let torn = || Refused::Torn { path: path.to_string() };
        let written = tokio::time::timeout(BODY_TIMEOUT, write(body, arrived.clone())).await;
        let refused = match written {
            Ok(Ok(())) => None,
            Ok(Err(Some(source))) => Some(storage(&path, source)),
            Ok(Err(None)) | Err(_) => Some(torn()),
        };
        if let Some(refused) = refused {
            let _gone = tokio::fs::remove_file(&arrived).await;
            return Err(refused);
        }
        let taken = self.with_tree(move |tree| tree.take(&path, &arrived, now())).await?;
        let status = match taken {
            Taken::New => StatusCode::CREATED,
            Taken::Same => StatusCode::OK,
        };
        Ok(response(status, Bytes::new()))
    }

    /// Files are waited for where no answer to a relying party waits with them.
    async fn with_tree<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let tree = Arc::clone(&self.tree);
        let done = tokio::task::spawn_blocking(move || work(&tree)).await;
        done.unwrap_or_else(|error| Err(storage(&"task", io::Error::other(error))))
    }
}

fn call(request: &Request<Incoming>) -> Result<Call, Refused> {
    let unknown = || Refused::NoSuchCall { what: request.method().to_string() };
    let rest = request.uri().path().strip_prefix(BASE).ok_or_else(unknown)?;
    let known = match (request.method(), rest.split_once('/')) {
        (&Method::GET, None) if rest == "inventory" => Call::Inventory,
        (&Method::GET, None) if rest == "outbox" => Call::Outbox,
        (&Method::GET, Some(("outbox", path))) => {
            Call::ReadRequest(path.parse().map_err(|_| Refused::Path)?)
        }
        (&Method::GET, Some(("publish", path))) => {
            Call::Read(path.parse().map_err(|_| Refused::Path)?)
        }
        (&Method::PUT, Some(("publish", path))) => {
            Call::Put(path.parse().map_err(|_| Refused::Path)?)
        }
        _ => return Err(unknown()),
    };
    Ok(known)
}

/// Writes a body to the disk, as it comes, where no answer to a relying party waits with it.
///
/// # Errors
///
/// The disk's; `None` when the body broke off.
async fn write(mut body: Incoming, to: PathBuf) -> Result<(), Option<io::Error>> {
    let mut file = on_disk(move || File::create(to)).await?;
    let mut gathered: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame.map_err(|_| None)?.into_data() {
            gathered.extend_from_slice(&bytes);
        }
        if gathered.len() >= GATHERED {
            let chunk = std::mem::take(&mut gathered);
            file = on_disk(move || file.write_all(&chunk).map(|()| file)).await?;
        }
    }
    on_disk(move || file.write_all(&gathered).and_then(|()| file.sync_all())).await
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Option<io::Error>> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Some)
}

/// A line for each file: SHA-256 and name.
fn listing(files: Vec<([u8; 32], String)>) -> Response<Full<Bytes>> {
    let mut text = String::new();
    for (hash, name) in files {
        let _ = writeln!(text, "{} {name}", hex(&hash));
    }
    response(StatusCode::OK, text)
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

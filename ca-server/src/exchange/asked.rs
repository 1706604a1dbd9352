//! A leaf of the audit log for each request: written by whoever has the database, since one may ask while `serve` does.
//!
//! The mark beside a request says that its leaf is written. A crash between the two writes a second leaf for the same file, and never none.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ceremony_core::exchange::{Opened, Request};
use host::vital;
use serde_json::json;
use store::{AuditRecord, Store, Subject};
use x509::time::UnixTime;

use super::kept::Kept;
use crate::service::Service;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is asked whether the program ends.
const ROUND: Duration = Duration::from_millis(500);

/// Writes the leaf of each request that has none.
///
/// # Errors
///
/// The folder's and the store's; what is not marked is told of the next time.
pub(super) fn record(kept: &Kept, store: &dyn Store, now: UnixTime) -> anyhow::Result<()> {
    for request in kept.untold()? {
        store.record_audit(&leaf(&request), now)?;
        kept.mark_told(request.said.matter.number)?;
    }
    Ok(())
}

fn leaf(request: &Opened<Request>) -> AuditRecord {
    let matter = &request.said.matter;
    let hash = |of: ceremony_core::words::Fingerprint| ledger::Hash::from_bytes(*of.as_bytes());
    let payload = json!({
        "exchange": matter.number, "wanted": matter.wanted.name(), "issuer_sha256": matter.issuer.to_string(),
        "created": matter.created.to_string(), "expires": matter.expires.to_string(),
        "request": request.file.to_string(),
    });
    Service::record(
        EventCode::ExchangeRequested,
        EventResult::Done,
        Actor::System([0; 16]),
        ObjectIds::of_act([Some(ObjectId::Document(hash(request.file)))]),
        None,
        &payload,
        Subject::Deployment,
    )
}

/// Starts what looks into the folder while the program serves; it ends when `stop` turns true.
///
/// # Errors
///
/// The operating system's, when no thread can be made.
pub(crate) fn start(
    service: Arc<Service>,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    vital::spawn("exchange", move || {
        let mut looked: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            if looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
                looked = Some(Instant::now());
                // Not made here: where nobody has asked there is none.
                let written = if folder.exists() { look(&service, &folder) } else { Ok(()) };
                if let Err(error) = written {
                    tracing::warn!("requests to ceremonies are not on record yet: {error:#}");
                }
            }
            std::thread::sleep(ROUND);
        }
    })
}

fn look(service: &Service, folder: &std::path::Path) -> anyhow::Result<()> {
    // Somebody asks just now: his request is found the next time.
    let Some(kept) = Kept::open_if_free(folder)? else { return Ok(()) };
    record(&kept, service.store(), service.clock.read().now)
}

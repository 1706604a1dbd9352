//! `sigill-ca last-crl`: two persons end a CA with its last CRL (CRL-05, KEY-12).
//!
//! Local, while `serve` does not run: the list is made, signed and published as `serve` makes the others, and nothing
//! else is done meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::at_work::{self, Beside};
use crate::config::ConfigFile;
use crate::http::tls::ServerIdentity;
use crate::service::Service;
use crate::start::Told;
use crate::wiring::{self, Wired};
use crate::{actors, check};

/// How long another node that has just ended may keep the publication to itself: its lease lasts 30 s.
const LEASE_WAIT: Duration = Duration::from_secs(60);

/// What `sigill-ca last-crl` is told.
#[derive(Debug, Args)]
pub(crate) struct LastCrl {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The authority that ends: its short name.
    #[arg(long, value_name = "NAME")]
    authority: String,
    /// Opaque ids of the two persons who decided so; twice.
    #[arg(long = "actor", required = true, value_name = "WHO")]
    actors: Vec<String>,
    /// Say whether it could be made, and make nothing.
    #[arg(long)]
    check: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl LastCrl {
    /// Makes and publishes the last CRL; returns the line of the result.
    ///
    /// # Errors
    ///
    /// Says what was refused; nothing was signed then, unless the error is that of the publication, which `serve` does
    /// again at its start.
    pub(crate) fn run(&self) -> anyhow::Result<String> {
        let actors = actors::two(&self.actors).ok_or_else(|| unfit(actors::WANTED))?;
        let config = ConfigFile::read(&self.config)?;
        let named = config.authorities.iter().any(|one| one.name == self.authority);
        ensure!(named, unfit("--authority is no authority of the configuration"));
        let deployment = wiring::deployment(&config)?;
        let clients = check::clients(&config, deployment)?;
        let identity = ServerIdentity::load(deployment, &config.api.certificate, &config.api.key)?;
        // Another node would go on issuing under the CA that ends.
        at_work::must_be_stopped(&config, Beside::Nobody)?;
        let Wired { service, publisher, .. } =
            wiring::wire(&config, Arc::new(clients).keys(), Arc::new(identity))?;
        if self.check {
            return self.checked(&service);
        }
        service.recover()?;
        let publishing = publisher.start()?;
        let made = self.made(&service, &actors);
        service.record_stop();
        service.publication.stop();
        publishing.join().map_err(|_| anyhow::anyhow!("the publisher ended before its time"))?;
        made
    }

    /// Nothing is recorded: neither a start nor an end.
    fn checked(&self, service: &Service) -> anyhow::Result<String> {
        let authority = service.authority_named(&self.authority)?;
        let name = authority.name();
        service.may_end(authority)?;
        Ok(if self.json {
            json!({ "authority": name, "may_end": true }).to_string()
        } else {
            format!("authority {name}: its last CRL may be made")
        })
    }

    fn made(&self, service: &Service, actors: &[String; 2]) -> anyhow::Result<String> {
        let authority = service.authority_named(&self.authority)?;
        let name = authority.name();
        let begun = Instant::now();
        while !service.publication.is_ours() {
            ensure!(
                begun.elapsed() < LEASE_WAIT,
                Told::new(
                    "publication-not-ours",
                    "another node publishes",
                    "stop `serve` on every node, then run it again"
                )
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let row = service.make_last_crl(authority, actors).context("last CRL")?;
        Ok(if self.json {
            json!({
                "authority": name,
                "number": row.number.to_string(),
                "this_update": row.this_update.to_string(),
                "next_update": row.next_update.to_string(),
                "sha256": base16ct::lower::encode_string(&row.sha256),
            })
            .to_string()
        } else {
            format!(
                "authority {name}: last CRL, number {}, made at {}",
                row.number, row.this_update
            )
        })
    }
}

fn unfit(what: &str) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca last-crl --help` shows an example")
}

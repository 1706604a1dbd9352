//! `sigill-ca import`: outputs of a ceremony as they lie in a folder, or the CRL of an offline CA by itself.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use serde_json::json;
use store::Imported;

use crate::config::ConfigFile;
use crate::database::Create;
use crate::start::{self, Told};
use crate::{authorities, confirm, import, import_crl, wiring};

/// What `sigill-ca import` is told.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["from", "crl"]))]
pub(crate) struct ImportArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The manifest of the outputs.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// A CRL in DER, signed by an offline authority of the configuration; where there is a section `exchange`, `exchange import` takes it.
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl ImportArguments {
    /// Imports, and returns the line of the result.
    ///
    /// # Errors
    ///
    /// Says what does not fit; nothing has been registered then.
    pub(crate) fn run(&self) -> anyhow::Result<String> {
        let config = ConfigFile::read(&self.config)?;
        ensure!(
            self.crl.is_none() || config.exchange.is_none(),
            Told::new(
                "exchange-only",
                "a CRL by itself is not taken: the section [exchange] says that it comes as the answer to a request",
                "ask for it with `sigill-ca exchange request`, and take the answer in with `sigill-ca exchange import`",
            )
        );
        let deployment = wiring::deployment(&config)?;
        let notes = wiring::NoteKeys::open(&config, deployment)?;
        let create = if self.crl.is_some() { Create::Never } else { Create::IfMissing };
        let store = wiring::open_alone(&config, deployment, create)?;
        wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
        let files = wiring::crl_files(&config, deployment, &notes)?;
        let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
        let now = confirm::believed(last_seen, config.clock)?;
        let imported = match (&self.crl, self.from.as_deref().unwrap_or(Path::new(""))) {
            (None, from) => import::run(&config, deployment, store.as_ref(), &files, from, now)
                .map_err(|error| {
                    let what = format!("outputs of {} do not fit", from.display());
                    let next = "compare the outputs with the configuration that the ceremony wrote";
                    start::otherwise(error, Told::new("outputs-unfit", what, next))
                })?,
            (Some(crl), _) => {
                let authorities = authorities::read(&config)?;
                import_crl::run(&authorities, store.as_ref(), &files, crl, now)?
            }
        };
        Ok(told(deployment, &imported, self.json))
    }
}

/// The line of what was imported.
pub(crate) fn told(
    deployment: ca::deployment::Deployment,
    imported: &Imported,
    json: bool,
) -> String {
    let Imported { issuers, certificates, entries, .. } = imported;
    if json {
        let result = json!({
            "deployment": deployment.to_string(),
            "issuers": issuers,
            "certificates": certificates,
            "status_entries": entries,
        });
        return result.to_string();
    }
    format!(
        "{deployment}: {issuers} issuers and {certificates} certificates were new; {entries} status entries written"
    )
}

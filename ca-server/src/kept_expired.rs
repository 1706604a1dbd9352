//! `crl-keeps-expired-from` against the last CRL, before anything is served: a day that may not be said would end the
//! CA's full CRLs, and nobody would see it until the last one has ended.
//!
//! The last list is read from our own copy of it, or from the publication folder; where neither can be read the
//! comparison of each new list with the one before it says the same (CRL-10, CRL-11).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ca::day::Day;
use crl::{KeptError, LastKept};
use x509::crl::{CrlForm, CrlReader};

use crate::config::ConfigFile;
use crate::publication::crl_files::CrlFiles;
use crate::service::authority::Authority;
use crate::start::Told;

const CODE: &str = "crl-expired-day";

/// The authorities whose next full CRL may not say what their section wants of expired entries.
pub(crate) fn unfit<'a>(
    config: &'a ConfigFile,
    authorities: impl Iterator<Item = &'a Authority>,
) -> impl Iterator<Item = anyhow::Error> {
    authorities.filter(|authority| authority.signs_here()).filter_map(|authority| {
        let last = last_list(config, authority)?;
        let wanted = authority.section.crl_keeps_expired_from.map(Day::begin);
        let error = last.may_be_followed_by(wanted).err()?;
        let (what, next) = told(authority.name(), last, &error);
        Some(anyhow::Error::new(error).context(Told::new(CODE, what, next)))
    })
}

fn told(authority: &str, last: LastKept, error: &KeptError) -> (String, &'static str) {
    match (error, last.since) {
        (_, Some(since)) => {
            let day = Day::containing(since);
            (
                format!("authority {authority}: its CRL says `crl-keeps-expired-from = {day}`"),
                "write that day; once a CRL has said it, it stays",
            )
        }
        (_, None) => {
            let first = Day::containing(Day::containing(last.this_update).end());
            (
                format!("authority {authority}: `crl-keeps-expired-from` may be {first} or later"),
                "write tomorrow or a later day: what expired before may have left its CRL already",
            )
        }
    }
}

/// Of the files that there are the first that is a list of the authority.
fn last_list(config: &ConfigFile, authority: &Authority) -> Option<LastKept> {
    let name = authority.name();
    let copies = config.database.own_folder();
    let published = config.publication.folder.join(CrlFiles::full_path(name));
    let files: [PathBuf; 2] = [copies.join(CrlFiles::copy_name(name)), published];
    files.iter().find_map(|path| read(path, authority))
}

fn read(path: &Path, authority: &Authority) -> Option<LastKept> {
    let file = BufReader::new(File::open(path).ok()?);
    let reader = CrlReader::start(file, CrlForm::CertificateList, crl::MAX_OCTETS).ok()?;
    let (issuer, this_update) = (reader.head().issuer.clone(), reader.head().this_update);
    let tail = reader.finish().ok()?;
    let is_ours = issuer == authority.certificate.subject().as_der()
        && tail.verify(authority.certificate.public_key()).is_ok();
    is_ours.then_some(LastKept { this_update, since: tail.extensions.expired_certs_on_crl })
}

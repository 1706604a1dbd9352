//! The CRL that is signed, and the one before it: whose that is, what it says, and what may follow it.
//!
//! The number is above the last one's and nothing that was revoked is lost; both are compared with the octets of the previous list, which the
//! plan names by its hash, and with nothing that anybody says about it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::destruction::is_final;
use ceremony_core::plan::{Ahead, NumberRule, Revocation};
use ceremony_core::refusal::Refusal;
use ceremony_core::words::Fingerprint;
use crl::{
    CrlEntry, CrlIssuer, CrlNumber, CrlOrder, CrlSpool, NewDates, PrepareError, PreviousCrl,
};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader, IssuingDistributionPoint, ReasonCode, RevokedEntry};
use x509::key::SignatureAlgorithm;
use x509::serial::SerialNumber;
use x509::signing::{Pending, assemble};
use x509::time::UnixTime;

use crate::home::Home;
use crate::signed;
use crate::stopped::Stopped;
use crate::trial_key::TrialKey;
use crate::works::{intent_id, now};

/// The list before the one that is signed.
pub(crate) struct Previous<'a> {
    der: &'a [u8],
    number: CrlNumber,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    scope: Option<IssuingDistributionPoint>,
    expired_since: Option<UnixTime>,
    entries: Vec<RevokedEntry>,
}

impl<'a> Previous<'a> {
    /// Reads it, and has two libraries verify it under its issuer's certificate.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R13 for a list that is not the issuer's, or that none may follow.
    pub(crate) fn read(der: &'a [u8], issuer: &Certificate) -> Result<Self, Stopped> {
        let refused = |why: String| going_back(format!("the previous CRL {why}"));
        let read = signed::read_crl(der, issuer.public_key());
        let (head, entries, tail) =
            read.map_err(|why| refused(format!("is not one of the issuer's: {why}")))?;
        if head.issuer != issuer.subject().as_der() {
            return Err(refused("names another issuer".to_owned()));
        }
        if tail.extensions.delta_base.is_some() {
            return Err(refused("is a delta, and not the whole list".to_owned()));
        }
        let number = tail.extensions.number.unwrap_or_default();
        let number = CrlNumber::from_content_octets(&number)
            .map_err(|error| refused(format!("has no usable number: {error}")))?;
        let scope = tail.extensions.issuing_distribution_point;
        let scope = scope.map(|der| {
            let read = IssuingDistributionPoint::from_der(&der);
            read.ok_or_else(|| refused("has a scope that cannot be written again".to_owned()))
        });
        Ok(Self {
            der,
            number,
            this_update: head.this_update,
            next_update: head.next_update,
            scope: scope.transpose()?,
            expired_since: tail.extensions.expired_certs_on_crl,
            entries,
        })
    }

    /// A list may be signed at `now` that is true from `begins` on: the clock is not behind the previous one, and whoever approved the plan knew if
    /// there was none in force meanwhile.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R03 or R13.
    pub(crate) fn may_be_followed(
        &self,
        now: UnixTime,
        begins: UnixTime,
        overdue_since: Option<UnixTime>,
    ) -> Result<(), Stopped> {
        if now < self.this_update {
            let refused =
                format!("it is {now}, and the previous CRL was signed at {}", self.this_update);
            let next_step = "set the clock; nothing was signed";
            return Err(Stopped { refusal: Refusal::Clock, refused, next_step });
        }
        let told = |time: Option<UnixTime>| {
            time.map_or_else(|| "never".to_owned(), |time| time.to_string())
        };
        let is_over = self.next_update.is_some_and(|end| end < begins);
        match overdue_since {
            None if is_over => Err(going_back(format!(
                "the previous CRL ends at {}, before {begins}, and the plan does not say that it knows (overdue-since)",
                told(self.next_update)
            ))),
            Some(since) if self.next_update != Some(since) => Err(going_back(format!(
                "overdue-since = {since}, and the previous CRL says {} as its nextUpdate",
                told(self.next_update)
            ))),
            _ => Ok(()),
        }
    }
}

/// The last list of a CA whose key is to be destroyed: nobody who relies on a certificate of it needs another.
///
/// # Errors
///
/// [`Stopped`] with R13.
pub(crate) fn last(der: &[u8], authority: &Certificate) -> Result<(), Stopped> {
    let next_step =
        "have the CA sign its last CRL, publish it, and plan anew with it; nothing was destroyed";
    let refused = |why: String| Stopped {
        refusal: Refusal::Crl,
        refused: format!("the last CRL {why}"),
        next_step,
    };
    let (head, _, tail) = signed::read_crl(der, authority.public_key())
        .map_err(|why| refused(format!("is not one of the CA's: {why}")))?;
    if head.issuer != authority.subject().as_der() {
        return Err(refused("names another issuer".to_owned()));
    }
    if tail.extensions.delta_base.is_some() {
        return Err(refused("is a delta, and not the whole list".to_owned()));
    }
    let end = authority.validity().not_after();
    match head.next_update {
        Some(next) if is_final(next, end) => Ok(()),
        next => {
            let next = next.map_or_else(|| "no time".to_owned(), |next| next.to_string());
            Err(refused(format!(
                "is in force until {next}, and certificates of the CA until {end}"
            )))
        }
    }
}

/// The number of a list: above the floor and the previous one, by the gap.
///
/// # Errors
///
/// [`Stopped`] with R13 past 20 octets.
pub(crate) fn number(
    previous: Option<&Previous<'_>>,
    NumberRule { floor, gap }: NumberRule,
) -> Result<CrlNumber, Stopped> {
    let floor = CrlNumber::from(0).above_by(floor);
    let highest = floor.max(previous.map(|previous| previous.number.clone()));
    let number = highest.and_then(|highest| highest.above_by(gap));
    number.ok_or_else(|| going_back("no CRL number is left above the previous one".to_owned()))
}

/// The number of a list, which is the one that the plan lays out for it where it is signed ahead.
///
/// # Errors
///
/// [`Stopped`] with R13 where the plan's rule comes to another.
pub(crate) fn number_ahead(
    previous: Option<&Previous<'_>>,
    rule: NumberRule,
    ahead: Option<&Ahead>,
) -> Result<CrlNumber, Stopped> {
    let number = number(previous, rule)?;
    let Some(ahead) = ahead else { return Ok(number) };
    if CrlNumber::from(0).above_by(ahead.number).as_ref() == Some(&number) {
        return Ok(number);
    }
    Err(going_back(format!(
        "the plan lays out number {} for the CRL of {}; by its rule it is {number} hexadecimal",
        ahead.number, ahead.this_update
    )))
}

/// What the list names: all that the previous one named, and what the plan revokes now, ascending.
///
/// # Errors
///
/// [`Stopped`] with R13 for what is revoked already, or from a time that is after `begins`, its thisUpdate.
pub(crate) fn entries(
    previous: Option<&Previous<'_>>,
    revoke: &[Revocation],
    begins: UnixTime,
) -> Result<Vec<CrlEntry>, Stopped> {
    let mut all: Vec<RevokedEntry> =
        previous.map(|previous| previous.entries.clone()).unwrap_or_default();
    for one in revoke {
        let refused = |why: &str| going_back(format!("revocation of {}: {why}", one.serial));
        let serial: SerialNumber =
            one.serial.as_str().parse().map_err(|_| refused("it is no serial number"))?;
        if all.iter().any(|entry| entry.serial == serial) {
            return Err(refused("it is revoked already, by the previous CRL or twice by the plan"));
        }
        if one.date > begins {
            return Err(refused("its date is after thisUpdate"));
        }
        let reason = match one.reason.as_str() {
            "unspecified" => None,
            "key-compromise" => Some(ReasonCode::KeyCompromise),
            "ca-compromise" => Some(ReasonCode::CaCompromise),
            "affiliation-changed" => Some(ReasonCode::AffiliationChanged),
            "superseded" => Some(ReasonCode::Superseded),
            "cessation-of-operation" => Some(ReasonCode::CessationOfOperation),
            _ => return Err(refused("its reason is none of a CA's certificate")),
        };
        let (revocation_date, invalidity_date) = (one.date, None);
        all.push(RevokedEntry { serial, revocation_date, reason, invalidity_date });
    }
    all.sort_by_key(|entry| entry.serial);
    Ok(all.into_iter().map(CrlEntry::carried).collect())
}

/// A list to be signed.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    /// The certificate of its issuer.
    pub(crate) authority: &'a Certificate,
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) number: &'a CrlNumber,
    /// From thisUpdate to nextUpdate.
    pub(crate) lifetime: Duration,
    /// Its times, where it is signed ahead.
    pub(crate) ahead: Option<&'a Ahead>,
    pub(crate) previous: Option<&'a Previous<'a>>,
    pub(crate) entries: &'a [CrlEntry],
    /// File name among the outputs.
    pub(crate) file: &'a str,
}

/// A list in its file, ready to be recorded and signed.
pub(crate) struct PreparedList {
    pub(crate) pending: Pending,
    /// Where the octets lie.
    pub(crate) spool: PathBuf,
}

impl List<'_> {
    /// Writes, lints and compares it, in a file of this name.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R11 for what the linter finds, with R13 for what may not follow the previous list or would outlive its issuer.
    pub(crate) fn prepare(&self, home: &Home, name: &str) -> anyhow::Result<PreparedList> {
        let now = now()?;
        let issuer = CrlIssuer::new(self.authority.clone(), self.algorithm)?;
        let this_update = self.ahead.map_or(now, |ahead| ahead.this_update);
        let next_update =
            this_update.checked_add(self.lifetime).context("CRL ends after the year 9999")?;
        let end = self.authority.validity().not_after();
        if next_update > end {
            let why =
                format!("its nextUpdate would be {next_update}, after its issuer's end, {end}");
            return Err(going_back(why).into());
        }
        // Apart from what is kept of outputs, which a plan may name as it likes.
        home.private("ceremony/spool")?;
        let path = home.join(&format!("ceremony/spool/{name}.tbs"));
        let mut spool = CrlSpool { file: open(&path)?, path: path.clone() };
        let order = CrlOrder {
            issuer: &issuer,
            intent: intent_id(now)?,
            number: self.number,
            kind: x509::crl::CrlKind::COMPLETE,
            this_update,
            next_update,
            issuing_distribution_point: self.previous.and_then(|previous| previous.scope.as_ref()),
            expired_certs_on_crl: self.previous.and_then(|previous| previous.expired_since),
            new_dates: NewDates::SincePrevious,
        };
        let previous = self.previous.map(|previous| {
            let octets = u64::try_from(previous.der.len()).unwrap_or(u64::MAX);
            PreviousCrl::foreign(CrlReader::start(previous.der, CrlForm::CertificateList, octets)?)
                .map_err(|error| anyhow::Error::new(going_back(error.to_string())))
        });
        let rows = self.entries.iter().map(|entry| Ok::<_, std::convert::Infallible>(*entry));
        let unexplained = &mut |_: &RevokedEntry| crl::Departure::Unexplained;
        match crl::prepare(&order, rows, &mut spool, previous.transpose()?, unexplained) {
            Ok(prepared) => Ok(PreparedList { pending: prepared.pending, spool: path }),
            Err(PrepareError::Compare(source)) => Err(going_back(source.to_string()).into()),
            Err(PrepareError::Lint(findings)) => Err(signed::before(findings.to_string()).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Signs it with a throw-away key in the place of the real one, and judges it as that will be judged. Returns the hash of what every run of
    /// this plan signs alike.
    ///
    /// # Errors
    ///
    /// As [`Self::prepare`]; the real key has signed nothing.
    pub(crate) fn trial(&self, home: &Home) -> anyhow::Result<Fingerprint> {
        let prepared = self.prepare(home, "trial")?;
        let octets = std::fs::read(&prepared.spool)?;
        let key = TrialKey::of_run(self.authority.public_key().key_type())?;
        let signature = key.sign(self.algorithm, &octets)?;
        let der = assemble(&octets, self.algorithm, &signature)
            .ok_or_else(|| signed::before("the CRL is too large".to_owned()))?;
        signed::crl(&der, self.authority, key.public()).map_err(signed::before)?;
        std::fs::remove_file(prepared.spool)?;
        Ok(Fingerprint::of(&x509::alike::crl(&octets)?))
    }
}

fn open(path: &Path) -> anyhow::Result<std::fs::File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn going_back(refused: String) -> Stopped {
    let next_step = "take the last CRL that was published, and plan anew; nothing was signed";
    Stopped { refusal: Refusal::Crl, refused, next_step }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What OpenSSL makes in a folder; `None` without it.
    fn made(folder: &Path, ca: &str, days: &str) -> Option<(Certificate, Vec<u8>)> {
        let speaks = |words: &[&str]| {
            let run = Command::new("openssl").args(words).current_dir(folder).output();
            run.is_ok_and(|run| run.status.success())
        };
        let text = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha384\n";
        for (name, text) in [("conf", text), ("index", ""), ("number", "01\n")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let name = format!("/CN={ca}");
        let own =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"];
        let more = ["-sha384", "-keyout", "key", "-subj", &name, "-days", "100", "-out", "pem"];
        if !speaks(&[&own[..], &more].concat()) {
            return None;
        }
        assert!(speaks(&["x509", "-in", "pem", "-outform", "DER", "-out", "der"]));
        let list = ["ca", "-config", "conf", "-gencrl", "-cert", "pem", "-keyfile", "key"];
        assert!(speaks(&[&list[..], &["-crldays", days, "-out", "crl.pem"]].concat()));
        assert!(speaks(&["crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl"]));
        let of = |name: &str| std::fs::read(folder.join(name)).unwrap();
        Some((Certificate::from_der(&of("der")).unwrap(), of("crl")))
    }

    /// KEY-08: a key is kept while a certificate of its CA may be asked for and no list answers.
    #[test]
    fn a_last_list_is_the_cas_and_lasts_until_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let Some((other, _)) = made(folder.path(), "Other", "101") else {
            return println!("skipped: openssl is not installed");
        };
        let (early, short) = made(folder.path(), "CA", "99").unwrap();
        let (authority, list) = made(folder.path(), "CA", "101").unwrap();
        last(&list, &authority).unwrap();
        for (list, authority, said) in [
            (&short, &early, "is in force until"),
            (&list, &other, "is not one of the CA's"),
            (&list, &early, "is not one of the CA's"),
        ] {
            let stopped = last(list, authority).unwrap_err();
            assert_eq!((stopped.refusal.code(), stopped.refusal.exit_code()), ("R13", 17));
            assert!(stopped.refused.contains(said), "{said}: {stopped}");
        }
    }
}

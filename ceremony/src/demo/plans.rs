//! The plans of a demo's ceremonies, written as whoever prepares a ceremony writes one, and read by the same rules.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use ca::profile::ProfileSet;
use ceremony_core::plan::FORMAT;
use ceremony_core::words::Fingerprint;
use hsm::token::{TokenFacts, TokenName};
use x509::time::UnixTime;

use super::people::{CUSTODIANS, People, SHARES};
use crate::hierarchy::{Hierarchy, PlannedAuthority};
use crate::outputs::Ports;
use crate::works::now;

/// From the day on which the plans are written; whoever goes on with a demo later makes another one.
const WINDOW: Duration = Duration::from_secs(30 * 86_400);
/// What is left of the longest life that a profile allows, so that it is no matter when within the window it is signed.
const SPARE: Duration = Duration::from_secs(31 * 86_400);
/// What was measured of the demo's tokens.
const DEVICE: &[u8] = b"{\"measured\": \"nothing: software tokens of a demo\"}\n";

/// A plan with what lies beside it.
pub(super) struct Written {
    pub(super) text: String,
    /// The inputs: their files below `in`, and their octets.
    pub(super) inputs: Vec<(String, Vec<u8>)>,
}

/// What all plans of a demo say.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) deployment: Deployment,
    pub(super) ports: &'a Ports,
    pub(super) profiles: &'a ProfileSet,
    /// The folder of the profiles that the CA uses.
    pub(super) profile_folder: &'a Path,
    pub(super) people: &'a People,
    /// SHA-256 of this very program's file.
    pub(super) program: Fingerprint,
    /// SHA-256 of the PKCS#11 module.
    pub(super) module: Fingerprint,
    /// What tokens of this module say of themselves.
    pub(super) device: &'a TokenFacts,
}

/// A plan that is being written.
struct Draft<'a> {
    writer: Writer<'a>,
    text: String,
    inputs: Vec<(String, Vec<u8>)>,
}

/// The token of a plan.
struct Expected<'a> {
    name: &'a str,
    serial: Option<&'a TokenName>,
    expect: String,
}

impl<'a> Writer<'a> {
    /// C1: the root's token, key, certificate and first CRL, and its OCSP delegate for this request.
    pub(super) fn root(&self, request: &[u8]) -> anyhow::Result<Written> {
        let root = &self.hierarchy.root;
        let mut draft =
            self.draft("root", "root-key", "a root, its first CRL, its OCSP delegate")?;
        draft.token(&Expected { name: "root", serial: None, expect: "blank".to_owned() })?;
        draft.profile("root")?;
        draft.profile("ocsp-offline")?;
        draft.input("delegate-request", "request", "in/delegate.csr", request.to_vec());
        draft.prepare("root");
        draft.key("root", root);
        let not_after = self.ends("root")?;
        draft.certificate(
            root,
            &format!(
                "key-of       = \"{0}\"\nissuer       = \"{0}\"\nprofile      = \"profile-root\"\nnot-after    = {not_after}\n",
                root.name
            ),
            root,
        );
        draft.step(
            "first-crl",
            "crl",
            1,
            &format!(
                "issuer    = \"certificate-{0}\"\ntoken     = \"root\"\nalgorithm = \"{1}\"\nnumber    = {{ floor = 0, gap = 1 }}\nlifetime  = \"{2}\"\nrevoke    = []\nout       = \"out/{0}.crl\"\n",
                root.name,
                root.algorithm,
                minutes(self.hierarchy.root_crl_lifetime)?
            ),
        );
        let common_name = format!("{} OCSP {}", root.common_name, self.hierarchy.responder);
        draft.step(
            "delegate",
            "delegate",
            1,
            &format!(
                "request      = \"delegate-request\"\nissuer       = \"certificate-{0}\"\ntoken        = \"root\"\nprofile      = \"profile-ocsp-offline\"\ncrl          = \"first-crl\"\ncommon-name  = {1}\norganization = {2}\n{3}out          = \"out/delegate-{0}.cer\"\n",
                root.name,
                quoted(&common_name),
                quoted(&self.hierarchy.organization),
                draft.urls()
            ),
        );
        Ok(draft.written())
    }

    /// C2: a token with the keys of all issuing CAs, and their requests.
    pub(super) fn issuing_keys(&self) -> anyhow::Result<Written> {
        let mut draft = self.draft(
            "issuing-keys",
            "issuing-key",
            "keys of the issuing CAs, and their requests",
        )?;
        draft.token(&Expected { name: "issuing", serial: None, expect: "blank".to_owned() })?;
        draft.prepare("issuing");
        for planned in &self.hierarchy.issuing {
            draft.key("issuing", planned);
            draft.step(
                &request_of(planned),
                "request",
                1,
                &format!(
                    "key-of      = \"{0}\"\ncommon-name = {1}\nout         = \"out/{0}.csr\"\n",
                    planned.name,
                    quoted(&planned.common_name)
                ),
            );
        }
        Ok(draft.written())
    }

    /// C3: the root of this token and certificate signs each issuing CA, for the request that it made.
    pub(super) fn issuing_certificates(
        &self,
        token: &TokenName,
        holds: Fingerprint,
        root: &[u8],
        requests: Vec<Vec<u8>>,
    ) -> anyhow::Result<Written> {
        let signs = &self.hierarchy.root;
        let mut draft =
            self.draft("issuing", "issuing-certificate", "the root signs the issuing CAs")?;
        draft.token(&Expected { name: "root", serial: Some(token), expect: holds.to_string() })?;
        draft.profile("issuing")?;
        draft.input("root-certificate", "certificate", "in/root.cer", root.to_vec());
        for (planned, request) in self.hierarchy.issuing.iter().zip(requests) {
            let file = format!("in/{}.csr", planned.name);
            draft.input(&request_of(planned), "request", &file, request);
        }
        let not_after = self.ends("root")?.min(self.ends("issuing")?);
        for planned in &self.hierarchy.issuing {
            let urls = draft.urls();
            draft.certificate(
                planned,
                &format!(
                    "key-of       = \"{}\"\nissuer       = \"root-certificate\"\nprofile      = \"profile-issuing\"\nnot-after    = {not_after}\n{urls}",
                    request_of(planned)
                ),
                signs,
            );
        }
        Ok(draft.written())
    }

    /// The last second of certificates by a profile, which every run of a plan within its window can give them.
    fn ends(&self, profile: &str) -> anyhow::Result<UnixTime> {
        let rule = self.profiles.by_name(profile);
        let rule = rule.with_context(|| format!("profile {profile} is missing"))?.validity();
        // As of midnight, so that plans that are written on one day agree.
        let today = UnixTime::from_secs(now()?.secs() / 86_400 * 86_400)?;
        let longest = rule.end(today).context("a certificate would end after the year 9999")?;
        let end = longest.secs().checked_sub(SPARE.as_secs()).filter(|end| *end > today.secs());
        let end = end.with_context(|| {
            format!("certificates of profile {profile} live for less than two months")
        })?;
        Ok(UnixTime::from_secs(end)?)
    }

    fn draft(&self, id: &str, kind: &str, title: &str) -> anyhow::Result<Draft<'a>> {
        let from = now()?;
        let until = from.checked_add(WINDOW).context("after the year 9999")?;
        let Hierarchy { environment, pki, .. } = self.hierarchy;
        let mut text = format!(
            "# Written by sigill-ceremony demo for this demo alone: its participants are generated.\n\n\
             format      = \"{FORMAT}\"\n\
             id          = \"demo-{id}\"\n\
             kind        = \"{kind}\"\n\
             title       = \"Demo: {title}\"\n\
             language    = \"en\"\n\
             cps-section = \"none: nobody relies on certificates of a demo\"\n\
             auditor     = \"present\"\n\n\
             [deployment]\nenvironment = \"{environment}\"\npki         = \"{pki}\"\ninstance    = \"{}\"\n\n\
             [window]\nnot-before = {from}\nnot-after  = {until}\n\n\
             [program]\nversion = \"{}\"\nsha256  = \"{}\"\n\n\
             [image]\nsha256 = \"{}\"\nbuild  = \"none: a demo\"\n\n",
            self.deployment.instance(),
            env!("CARGO_PKG_VERSION"),
            self.program,
            Fingerprint::of(b""),
        );
        text.push_str(&self.people.to_toml());
        let mut draft = Draft { writer: *self, text, inputs: Vec::new() };
        draft.input("device", "device-profile", "in/device.json", DEVICE.to_vec());
        Ok(draft)
    }
}

impl Draft<'_> {
    fn token(&mut self, token: &Expected<'_>) -> anyhow::Result<()> {
        let Expected { name, serial, expect } = token;
        let label = self.writer.deployment.token_label(&name.parse()?);
        let serial = serial.map(|of| format!("serial         = {}\n", quoted(of.serial.as_str())));
        let TokenFacts { model, firmware, .. } = self.writer.device;
        let _ = write!(
            self.text,
            "\n[[token]]\nname           = \"{name}\"\nlabel          = \"{label}\"\n{}model          = {}\nfirmware       = {}\nmodule-sha256  = \"{}\"\ndevice-profile = \"device\"\nexpect         = \"{expect}\"\npins           = \"shares\"\n",
            serial.unwrap_or_default(),
            quoted(model),
            quoted(firmware),
            self.writer.module
        );
        Ok(())
    }

    fn input(&mut self, name: &str, content: &str, file: &str, octets: Vec<u8>) {
        let _ = write!(
            self.text,
            "\n[[input]]\nname    = \"{name}\"\ncontent = \"{content}\"\nfile    = \"{file}\"\nsha256  = \"{}\"\nfrom    = []\n",
            Fingerprint::of(&octets)
        );
        self.inputs.push((file.to_owned(), octets));
    }

    /// A profile as the CA has it.
    fn profile(&mut self, name: &str) -> anyhow::Result<()> {
        let path = self.writer.profile_folder.join(format!("{name}.toml"));
        let octets = std::fs::read(&path).with_context(|| path.display().to_string())?;
        self.input(&format!("profile-{name}"), "profile", &format!("in/{name}.toml"), octets);
        Ok(())
    }

    fn prepare(&mut self, token: &str) {
        let all = format!("\"custodian:{SHARES}\", \"so-custodian:{SHARES}\"");
        self.of(("token", "prepare-token"), &all, 0, &format!("token      = \"{token}\"\n"));
    }

    fn key(&mut self, token: &str, planned: &PlannedAuthority) {
        let what = format!(
            "token      = \"{token}\"\nkey        = \"{}\"\nbackup     = \"none\"\nattributes = {{ private = true, sensitive = true, extractable = false, sign = true, decrypt = false, unwrap = false, derive = false, modifiable = false }}\n",
            planned.key
        );
        self.step(&planned.name, "generate-key", 0, &what);
    }

    /// The certificate of an authority, which this one signs.
    fn certificate(&mut self, planned: &PlannedAuthority, what: &str, signs: &PlannedAuthority) {
        let more = format!(
            "{what}token        = \"root\"\nalgorithm    = \"{}\"\ncommon-name  = {}\norganization = {}\nout          = \"out/{}.cer\"\n",
            signs.algorithm,
            quoted(&planned.common_name),
            quoted(&self.writer.hierarchy.organization),
            planned.name
        );
        self.step(&format!("certificate-{}", planned.name), "certificate", 1, &more);
    }

    /// Where the root publishes.
    fn urls(&self) -> String {
        let urls = self.writer.ports.urls(&self.writer.hierarchy.root.name);
        format!(
            "urls         = {{ crl = {}, ocsp = {}, aia = {} }}\n",
            quoted(&urls.crl),
            quoted(&urls.ocsp),
            quoted(&urls.aia)
        )
    }

    fn step(&mut self, id: &str, operation: &str, signatures: u8, what: &str) {
        self.of((id, operation), &format!("\"custodian:{CUSTODIANS}\""), signatures, what);
    }

    fn of(&mut self, (id, operation): (&str, &str), holders: &str, signatures: u8, what: &str) {
        let _ = write!(
            self.text,
            "\n[[step]]\nid         = \"{id}\"\nop         = \"{operation}\"\nrequires   = [\"administrator\", \"operator\", \"witness\", {holders}, \"auditor\"]\nsignatures = {signatures}\n{what}"
        );
    }

    fn written(self) -> Written {
        Written { text: self.text, inputs: self.inputs }
    }
}

/// What the request of an issuing CA is called.
fn request_of(planned: &PlannedAuthority) -> String {
    format!("request-{}", planned.name)
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A duration as plans say it.
fn minutes(seconds: u64) -> anyhow::Result<String> {
    ensure!(
        seconds.is_multiple_of(60),
        "[root.crl] lifetime = {seconds}; plans of ceremonies say whole minutes"
    );
    Ok(format!("{}m", seconds / 60))
}

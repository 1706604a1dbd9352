//! The ceremonies of a demo: planned, approved, rehearsed and held as any other, by the same commands, with nobody at them.
//!
//! Each has a folder below `ceremonies` of the home: `plan.toml` with its inputs in `in`, approvals, the rehearsal's transcript, a copy of
//! the ceremony's, and at the end the bundle and `paper`, the two hashes that an auditor takes from paper. Tokens and outputs lie in its room.
//! A ceremony whose bundle is there is over; one whose transcript has a line is gone on with by the plan that is there; any other is planned anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, anyhow};
use ceremony_core::approval::{self, Purpose};
use ceremony_core::bundle::{Bundle, OUTPUTS};
use ceremony_core::plan::Plan;
use ceremony_core::transcript::{Kind, Phase, Whole};
use ceremony_core::words::Fingerprint;
use hsm::token::TokenName;
use x509::certificate::Certificate;

use super::children::Children;
use super::people::APPROVERS;
use super::plans::{Writer, Written};
use crate::gates;
use crate::home::{Home, private_folder, replace};
use crate::plan_command;
use crate::refusal::Refusal;
use crate::works::now;

/// Where plans, approvals, rehearsals and bundles lie.
pub(super) const FOLDER: &str = "ceremonies";
/// Where the root's token lies, with its PINs and the rest of its ceremony.
const OFFLINE: &str = "offline";
/// The maker of tokens that are folders, so that several ceremonies can be held side by side.
const SOFTHSM: &str = "SoftHSM project";

/// What the ceremonies made.
pub(super) struct Outcome {
    pub(super) root: Certificate,
    /// In the order of the hierarchy.
    pub(super) issuing: Vec<Certificate>,
    pub(super) crl: Vec<u8>,
    pub(super) delegate: Certificate,
    pub(super) issuing_token: TokenName,
}

/// What all of them are held with.
pub(super) struct Ceremonies<'a> {
    pub(super) home: &'a Home,
    pub(super) writer: Writer<'a>,
    pub(super) children: Children<'a>,
}

/// One of them.
struct Ceremony<'a> {
    /// How people call it, and the name of its folder.
    name: &'static str,
    home: &'a Home,
    /// The home of the run: transcript, outputs, and tokens that are made in it.
    room: PathBuf,
    /// The room of the ceremony that made its tokens.
    tokens: Option<PathBuf>,
}

impl Ceremonies<'_> {
    /// Holds those that are not over, and hands their outputs over: certificates and CRL to `ceremony/out`, the issuing token with its PINs to where the
    /// CA looks for it.
    ///
    /// # Errors
    ///
    /// What a ceremony was refused for; the file system's own.
    pub(super) fn hold(&self, delegate_request: &[u8]) -> anyhow::Result<Outcome> {
        private_folder(&self.home.join(FOLDER))?;
        let offline = self.home.join(OFFLINE);
        let keys = self.of("issuing-keys", None);
        let root = Ceremony { room: offline.clone(), ..self.of("root", None) };
        let hold_root = || self.held(&root, || self.writer.root(delegate_request));
        let hold_keys = || self.held(&keys, || self.writer.issuing_keys());
        // What one makes the other does not need.
        let (root_bundle, keys_bundle) = if self.is_softhsm() {
            thread::scope(|scope| {
                let beside = scope.spawn(hold_root);
                let keys = hold_keys();
                let root = beside.join().map_err(|_| anyhow!("the root's ceremony was broken off"));
                (root.flatten(), keys)
            })
        } else {
            (hold_root(), hold_keys())
        };
        let (root_bundle, keys_bundle) = (root_bundle?, keys_bundle?);
        self.hand_over(&keys)?;

        let name = &self.writer.hierarchy.root.name;
        let signs = root_bundle.file(&format!("{OUTPUTS}{name}.cer"));
        let issuing = self.of("issuing", Some(offline));
        let issuing_bundle = self.held(&issuing, || {
            let token = root.token()?;
            let holds = self.children.contents(&root.room, &token);
            let holds = holds.with_context(|| format!("the inventory of token {token}"))?;
            let requests =
                self.names().map(|name| keys_bundle.file(&format!("{OUTPUTS}{name}.csr")));
            let requests = requests.map(<[u8]>::to_vec).collect();
            self.writer.issuing_certificates(&token, holds, signs, requests)
        })?;
        for bundle in [&root_bundle, &issuing_bundle] {
            self.publish(bundle)?;
        }
        let certificate = |bundle: &Bundle, name: &str| {
            let file = format!("{OUTPUTS}{name}.cer");
            Certificate::from_der(bundle.file(&file)).with_context(|| file)
        };
        Ok(Outcome {
            root: certificate(&root_bundle, name)?,
            issuing: self
                .names()
                .map(|name| certificate(&issuing_bundle, name))
                .collect::<Result<_, _>>()?,
            crl: root_bundle.file(&format!("{OUTPUTS}{name}.crl")).to_vec(),
            delegate: certificate(&root_bundle, &format!("delegate-{name}"))?,
            issuing_token: keys.token()?,
        })
    }

    fn of(&self, name: &'static str, tokens: Option<PathBuf>) -> Ceremony<'_> {
        let room = self.home.join(FOLDER).join(name).join("room");
        Ceremony { name, home: self.home, room, tokens }
    }

    fn is_softhsm(&self) -> bool {
        self.writer.device.manufacturer == SOFTHSM
    }

    /// Short names of the issuing CAs.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.writer.hierarchy.issuing.iter().map(|planned| planned.name.as_str())
    }

    /// The bundle of a ceremony, which is held first where it is not over.
    fn held(
        &self,
        ceremony: &Ceremony<'_>,
        written: impl FnOnce() -> anyhow::Result<Written>,
    ) -> anyhow::Result<Bundle> {
        let path = ceremony.bundle();
        let is_over = path.exists();
        if !is_over {
            let has_begun = ceremony.has_begun()?;
            ceremony.may_be_held(has_begun)?;
            if !has_begun {
                self.prepare(ceremony, &written()?)?;
            }
            let approvals = APPROVERS.map(|person| ceremony.file(&format!("{person}.production")));
            let people = self.writer.people.folder();
            self.children
                .run(
                    &[
                        ("--home", &ceremony.room),
                        ("--people", people),
                        ("--rehearsal", &ceremony.file("rehearsal.jsonl")),
                        ("--mirror", &ceremony.file("transcript.jsonl")),
                        ("--approval", &approvals[0]),
                        ("--approval", &approvals[1]),
                        ("--bundle", &path),
                    ],
                    &ceremony.file("plan.toml"),
                    ceremony.tokens.as_deref(),
                )
                .with_context(|| format!("the ceremony in {}", ceremony.file("").display()))?;
        }
        let octets = fs::read(&path).with_context(|| path.display().to_string())?;
        let bundle = Bundle::from_archive(&octets).with_context(|| path.display().to_string())?;
        let plan = plan_command::read(&ceremony.file("plan.toml"))?;
        let head = Fingerprint::from_bytes(*ceremony.transcript()?.chain.head().1.as_bytes());
        let paper = format!("plan {}\nhead {head}\n", plan.hash);
        replace(&ceremony.file("paper"), paper.as_bytes())?;
        if !is_over {
            tell(&plan, &bundle, head, &path, self.writer.people.count());
        }
        Ok(bundle)
    }

    /// Writes the plan, has it approved and rehearsed, and its shape approved.
    fn prepare(&self, ceremony: &Ceremony<'_>, written: &Written) -> anyhow::Result<()> {
        let folder = ceremony.file("");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        private_folder(&folder)?;
        private_folder(&ceremony.file("in"))?;
        for (file, octets) in &written.inputs {
            replace(&ceremony.file(file), octets)?;
        }
        replace(&ceremony.file("plan.toml"), written.text.as_bytes())?;
        let plan = plan_command::read(&ceremony.file("plan.toml"))?;
        let approved = self.approve(ceremony, &plan, Purpose::Rehearsal)?;
        let out = ceremony.file("rehearsal.jsonl");
        self.children
            .rehearse(&ceremony.file("plan.toml"), &approved, &out, self.is_softhsm())
            .with_context(|| format!("the rehearsal in {}", folder.display()))?;
        let shape = gates::rehearsal(&plan, &out)?.shape.hash();
        self.approve(ceremony, &plan, Purpose::Production(shape))?;
        Ok(())
    }

    /// Has the approvers sign.
    fn approve(
        &self,
        ceremony: &Ceremony<'_>,
        plan: &Plan,
        purpose: Purpose,
    ) -> anyhow::Result<[PathBuf; 2]> {
        for person in APPROVERS {
            let statement = approval::statement(plan, purpose, person, now()?)?;
            let signed = self.writer.people.sign(person, &statement)?;
            let path = ceremony.file(&format!("{person}.{}", purpose.name()));
            replace(&path, signed.as_str().as_bytes())?;
        }
        Ok(APPROVERS.map(|person| ceremony.file(&format!("{person}.{}", purpose.name()))))
    }

    /// Carries the token that was made for the CA to where the CA looks for it, with its PINs.
    fn hand_over(&self, keys: &Ceremony<'_>) -> anyhow::Result<()> {
        for folder in ["tokens", "pins"] {
            let from = keys.room.join(folder);
            let entries = fs::read_dir(&from).with_context(|| from.display().to_string())?;
            for entry in entries {
                let entry = entry?;
                let to = self.home.join(folder).join(entry.file_name());
                fs::rename(entry.path(), &to).with_context(|| to.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Puts certificates and CRLs among the outputs of the demo.
    fn publish(&self, bundle: &Bundle) -> anyhow::Result<()> {
        for (name, octets) in bundle.below(OUTPUTS) {
            let path = self.home.out(name.trim_start_matches(OUTPUTS));
            if fs::read(&path).is_ok_and(|found| found == octets) {
                continue;
            }
            replace(&path, octets)?;
        }
        Ok(())
    }
}

impl Ceremony<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.home.join(FOLDER).join(self.name).join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.file(&format!("{}.bundle.tar", self.name))
    }

    /// Whether a line of its transcript is there, or of the copy: the room may have been carried away.
    fn has_begun(&self) -> anyhow::Result<bool> {
        for path in [self.file("transcript.jsonl"), self.room.join("ceremony/transcript.jsonl")] {
            match fs::read(&path) {
                Ok(octets) if octets.contains(&b'\n') => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
        Ok(false)
    }

    /// The room of its tokens is there, where they were made: no others are made in their place.
    fn may_be_held(&self, has_begun: bool) -> Result<(), Refusal> {
        let made_in = self.tokens.as_ref().or(has_begun.then_some(&self.room));
        match made_in.filter(|room| !room.is_dir()) {
            None => Ok(()),
            Some(room) => {
                let path = room.strip_prefix(self.home.root()).unwrap_or(room);
                let path = path.join("pins").display().to_string();
                let role = if self.tokens.is_some() { "root" } else { self.name };
                Err(Refusal::PinMissing { role: role.to_owned(), path })
            }
        }
    }

    /// Its transcript, which came to its end, by the copy.
    fn transcript(&self) -> anyhow::Result<Whole> {
        let path = self.file("transcript.jsonl");
        let octets = fs::read(&path).with_context(|| path.display().to_string())?;
        let whole = Whole::read(&octets).with_context(|| path.display().to_string())?;
        anyhow::ensure!(
            whole.chain.phase() == Phase::Closed,
            "{} did not come to its end, though the ceremony did",
            path.display()
        );
        Ok(whole)
    }

    /// The token that it prepared.
    fn token(&self) -> anyhow::Result<TokenName> {
        let whole = self.transcript()?;
        let told = whole.records.iter().filter(|record| record.kind == Kind::Result);
        let told = told.filter_map(|record| record.text("token")).next();
        let parts = told.and_then(|token| token.strip_suffix(')')?.split_once(" (serial "));
        let (label, serial) = parts.context("the transcript names no token that was prepared")?;
        Ok(TokenName { label: label.parse()?, serial: serial.parse()? })
    }
}

/// Says briefly who held what, and which words stand on paper.
fn tell(plan: &Plan, bundle: &Bundle, head: Fingerprint, path: &Path, people: usize) {
    let ends = |hash: Fingerprint| {
        let words = hash.words();
        format!("{} ... {}", words[..4].join(" "), words[28..].join(" "))
    };
    let made: Vec<_> =
        bundle.below(OUTPUTS).map(|(name, _)| name.trim_start_matches(OUTPUTS)).collect();
    crate::say(&format!(
        "{}, {}\n  who     {people} generated participants with software keys, nobody sat at it; {} approved\n  made    {}\n  plan    {}\n  head    {}\n  bundle  {}",
        plan.kind.code(),
        plan.title,
        APPROVERS.len(),
        made.join(", "),
        ends(plan.hash),
        ends(head),
        path.display()
    ));
}

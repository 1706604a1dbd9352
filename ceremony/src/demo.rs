//! `sigill-ceremony demo`: the whole hierarchy of a demo deployment, from nothing, by the ceremonies that any other has.
//!
//! For deployment test/demo and no other. The root (C1), the keys of the issuing CAs (C2) and their certificates (C3) come from ceremonies that are planned,
//! approved, rehearsed and held with generated participants (`ceremonies`). What no ceremony makes (the management CA, the API's credentials, the
//! responder's identity) is made here (`credentials`). A run that was broken off at any point is simply run again.
//!
//! Nothing that exists is drawn or written anew. Once everything came to its end no token is
//! logged in to; what is there is compared, and what differs is kept.

mod ceremonies;
mod children;
mod credentials;
mod people;
mod plans;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::algorithms::{AlgorithmPolicy, KeyPurpose};
use ca::deployment::{Deployment, Environment, Instance, Pki, Place};
use ca::profile::ProfileSet;
use ceremony_core::transcript::Phase;
use ceremony_core::words::Fingerprint;
use hsm::{Module, TokenSigner};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use x509::time::UnixTime;

use crate::addresses::{self, Asked};
use crate::finished;
use crate::hierarchy::Hierarchy;
use crate::home::{Home, replace};
use crate::kept::{self, Existing, Keeper};
use crate::outputs::{self, Made, MadeAuthority, Ports};
use crate::refusal::Refusal;
use crate::surroundings;
use crate::tokens::Role;
use crate::transcript::Transcript;
use crate::works::{Unattended, Works, now, random};
use ceremonies::{Ceremonies, Outcome};
use children::Children;
use credentials::Credentials;
use people::People;
use plans::Writer;

pub(crate) use children::RefusedPart;

/// Longest wait for a key: RSA 4096 takes seconds, and much more on a slow token.
const KEY_DEADLINE: Duration = Duration::from_secs(600);
/// Beside hierarchy and deployment, what the demo's own transcript is of: a home that an earlier version began is not gone on with.
const BY_CEREMONIES: &[u8] = b"sigill-ceremony-demo/1";

/// What a demo is asked.
pub(crate) struct Order {
    pub(crate) home: PathBuf,
    pub(crate) hierarchy: PathBuf,
    pub(crate) profiles: PathBuf,
    pub(crate) module: PathBuf,
    pub(crate) addresses: Asked,
    pub(crate) existing: Existing,
}

/// What it comes to.
pub(crate) struct Done {
    pub(crate) made: Made,
    /// A line for each file that was kept though it differs, or written anew.
    pub(crate) said: Vec<String>,
}

/// Makes everything that is missing.
///
/// # Errors
///
/// Says which step did not succeed; running it again goes on from there.
pub(crate) fn run(order: &Order) -> anyhow::Result<Done> {
    let hierarchy = Hierarchy::read(&order.hierarchy)?;
    only_demo(&hierarchy)?;
    let home = Home::open(&order.home)?;
    let lock = std::fs::File::create(home.join("state/demo.lock"))?;
    lock.try_lock().context("another run is at work in this home")?;
    let ports = addresses::settle(&home, &order.addresses)?;
    let deployment = deployment(&home, &hierarchy)?;
    let mut keeper = Keeper::new(&home, order.existing);
    keeper.copy_profiles(&order.profiles)?;
    let made = if finished::is(&home) {
        finished::read(&home, &hierarchy, &order.module, deployment)?
    } else {
        hold(&home, &hierarchy, &order.module, deployment, &ports)?
    };
    outputs::configure(&mut keeper, &hierarchy, deployment, &order.module, &ports, &made)?;
    surroundings::write(&keeper, &home, deployment, &ports, &made)?;
    Ok(Done { made, said: keeper.said() })
}

/// Makes tokens, keys and certificates, and the manifest as the last.
fn hold(
    home: &Home,
    hierarchy: &Hierarchy,
    module_path: &Path,
    deployment: Deployment,
    ports: &Ports,
) -> anyhow::Result<Made> {
    let profiles = kept::profiles(home)?;
    only_allowed_keys(hierarchy, &profiles)?;
    let algorithms = AlgorithmPolicy::shipped()?;
    only_allowed_algorithms(hierarchy, &algorithms, now()?)?;
    let plan: [u8; 32] = Sha256::new()
        .chain_update(BY_CEREMONIES)
        .chain_update(&hierarchy.bytes)
        .chain_update(deployment.to_string())
        .finalize()
        .into();
    let mut transcript = Transcript::begin(home, deployment, &plan)?;
    let module = Module::load(module_path)?;
    let signer = TokenSigner::new(Duration::from_secs(60));
    let works = Works {
        home,
        deployment,
        profiles: &profiles,
        algorithms: &algorithms,
        signer: &signer,
        transcript: &mut transcript,
        reader: &mut Unattended,
    };
    let mut own = Credentials { plan, hierarchy, home, module: &module, ports, deployment, works };
    let (responder, management) = (own.token(Role::Responder)?, own.token(Role::Management)?);
    let notes = own.note_keys()?;
    let (identity, request) = own.responder(&responder)?;
    own.checkpoint()?;
    let listed = hsm::token::list(&module)?;
    let is_it = |facts: &&hsm::token::TokenFacts| facts.label == management.name().label.as_str();
    let device = listed.iter().find(is_it).context("the token is not listed any more")?;
    let people = People::in_folder(&home.join("people"))?;
    let file = |path: &Path| {
        let octets = std::fs::read(path).with_context(|| path.display().to_string())?;
        anyhow::Ok(Fingerprint::of(&octets))
    };
    let writer = Writer {
        hierarchy,
        deployment,
        ports,
        profiles: &profiles,
        profile_folder: &home.join("config/profiles"),
        people: &people,
        program: file(Path::new("/proc/self/exe"))?,
        module: file(module_path)?,
        device,
    };
    let children = Children { module: module_path };
    let Outcome { root, issuing, crl, delegate, issuing_token } =
        Ceremonies { home, writer, children }.hold(&request)?;
    let (management_ca, clients) = own.management(&management)?;
    own.checkpoint()?;
    if transcript.phase() != Phase::Closed {
        transcript.write_head(ceremony_core::transcript::Kind::Close)?;
    }
    let (lines, head) = transcript.head();
    replace(
        &home.join("ceremony/head.json"),
        json!({ "size": lines, "root": head.to_base64() }).to_string().as_bytes(),
    )?;
    let planned = hierarchy.issuing.iter().zip(issuing);
    let issuing = planned.map(|(planned, certificate)| MadeAuthority {
        planned: planned.clone(),
        certificate,
        token: Some(issuing_token.clone()),
    });
    let root = MadeAuthority { planned: hierarchy.root.clone(), certificate: root, token: None };
    let made = Made {
        authorities: std::iter::once(root).chain(issuing).collect(),
        management: management_ca,
        management_token: management.name().clone(),
        responder_token: responder.name().clone(),
        issuing_token: issuing_token.clone(),
        identity,
        delegate,
        crl,
        notes,
        clients,
    };
    outputs::write(home, hierarchy, deployment, &made)?;
    Ok(made)
}

fn only_demo(hierarchy: &Hierarchy) -> anyhow::Result<()> {
    ensure!(
        hierarchy.environment == Environment::Test.name() && hierarchy.pki == Pki::Demo.name(),
        "a demo is of deployment test/demo only; the hierarchy names {}/{}: hold its key ceremonies",
        hierarchy.environment,
        hierarchy.pki
    );
    Ok(())
}

/// What the profiles would refuse is refused before keys are made for it.
fn only_allowed_keys(hierarchy: &Hierarchy, profiles: &ProfileSet) -> anyhow::Result<()> {
    let issuing = hierarchy.issuing.iter().map(|planned| (planned, "issuing"));
    let others = [(&hierarchy.root, "root"), (&hierarchy.management, "management-ca")];
    for (planned, profile) in others.into_iter().chain(issuing) {
        let file = profiles.by_name(profile);
        let file = file.with_context(|| format!("profile {profile} is missing"))?;
        if !file.keys().contains(&planned.key) {
            let (authority, key) = (planned.common_name.clone(), planned.key);
            return Err(Refusal::KeyNotAllowed { authority, key, profile }.into());
        }
    }
    Ok(())
}

/// Refuses, before anything is made, what the algorithm policy would refuse of a finished CA (KEY-11).
fn only_allowed_algorithms(
    hierarchy: &Hierarchy,
    algorithms: &AlgorithmPolicy,
    now: UnixTime,
) -> anyhow::Result<()> {
    let issuing = hierarchy.issuing.iter().chain([&hierarchy.root]);
    let issuing = issuing.map(|planned| (planned, KeyPurpose::Issuing));
    for (planned, purpose) in issuing.chain([(&hierarchy.management, KeyPurpose::Management)]) {
        algorithms.signature(purpose, planned.key, planned.algorithm, now).map_err(|source| {
            let authority = planned.common_name.clone();
            Refusal::AlgorithmPolicy { authority, source }
        })?;
    }
    Ok(())
}

/// The deployment of this home: the instance is drawn once.
fn deployment(home: &Home, hierarchy: &Hierarchy) -> anyhow::Result<Deployment> {
    let path = home.join("ceremony/instance");
    let instance: Instance = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().with_context(|| path.display().to_string())?,
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        Err(_) => {
            let bytes = random::<32>()?;
            let mut words = [0_u64; 4];
            for (word, octets) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_be_bytes(octets.try_into()?);
            }
            let drawn = Instance::from_random(words);
            replace(&path, drawn.as_str().as_bytes())?;
            drawn
        }
    };
    let found = Deployment::from_parts(&hierarchy.environment, &hierarchy.pki, instance.as_str())?;
    Deployment::new(Pki::Demo, instance).must_equal(&found, Place::Configuration)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use x509::key::KeyType;

    use super::*;

    /// R07: what nobody sits at is relied on by nobody.
    #[test]
    fn is_made_in_its_own_deployment_alone() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/hierarchy.toml");
        let shipped = Hierarchy::read(Path::new(shipped)).unwrap();
        only_demo(&shipped).unwrap();
        for (environment, pki) in
            [("prod", "prod"), ("qa", "test"), ("test", "systemtest"), ("prod", "demo")]
        {
            let (environment, pki) = (environment.to_owned(), pki.to_owned());
            let other = Hierarchy { environment, pki, ..shipped.clone() };
            assert!(only_demo(&other).unwrap_err().to_string().contains("test/demo only"));
        }
    }

    /// KEY-11: judged by the policy of the day before a key is made.
    #[test]
    fn refuses_what_the_algorithm_policy_does_not_allow() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/hierarchy.toml");
        let mut hierarchy = Hierarchy::read(Path::new(shipped)).unwrap();
        let policy = AlgorithmPolicy::shipped().unwrap();
        let judged = |hierarchy: &Hierarchy, now| only_allowed_algorithms(hierarchy, &policy, now);
        assert!(judged(&hierarchy, now().unwrap()).is_ok());
        assert!(judged(&hierarchy, UnixTime::EPOCH).is_err(), "before its first day");

        hierarchy.root.key = KeyType::Rsa { bits: 2048 };
        let error = judged(&hierarchy, now().unwrap()).unwrap_err();

        let refusal = error.downcast_ref::<Refusal>().unwrap();
        assert_eq!(refusal.code(), "ceremony-algorithm-policy");
        assert!(refusal.to_string().contains("rsa-2048 keys of purpose issuing"), "{refusal}");
    }
}

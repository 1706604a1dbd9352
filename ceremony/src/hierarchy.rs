//! The hierarchy file: what a demo makes, reviewed like code.
//!
//! Unknown keys are errors. What is read here is turned into checked values once.

use std::path::Path;

use anyhow::{Context as _, ensure};
use ca::table::IssuerClass;
use serde::Deserialize;
use x509::key::{KeyType, SignatureAlgorithm};

use crate::refusal::Refusal;

/// The file as it stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HierarchyFile {
    deployment: DeploymentPair,
    organization: String,
    root: RootFile,
    issuing: Vec<IssuingFile>,
    management: ManagementFile,
    responder: ResponderFile,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentPair {
    environment: String,
    pki: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RootFile {
    common_name: String,
    key: String,
    algorithm: Option<String>,
    crl: RootCrlFile,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootCrlFile {
    lifetime: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct IssuingFile {
    common_name: String,
    key: String,
    algorithm: Option<String>,
    /// Its class in the policy table.
    class: Option<String>,
    profiles: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ManagementFile {
    common_name: String,
    key: String,
    algorithm: Option<String>,
    server: String,
    client: Vec<ClientFile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFile {
    name: String,
    profiles: Vec<String>,
    read: bool,
    revoke: bool,
    #[serde(default)]
    release: bool,
    #[serde(default)]
    operator: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponderFile {
    name: String,
}

/// One authority to be made.
#[derive(Clone, Debug)]
pub(crate) struct PlannedAuthority {
    /// Lower-case common name without anything but letters and digits, as in URLs.
    pub(crate) name: String,
    pub(crate) common_name: String,
    pub(crate) key: KeyType,
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) profiles: Vec<String>,
    /// Its class in the policy table.
    pub(crate) class: Option<IssuerClass>,
}

/// One client of the API.
#[derive(Clone, Debug)]
pub(crate) struct PlannedClient {
    pub(crate) name: String,
    pub(crate) profiles: Vec<String>,
    pub(crate) read: bool,
    pub(crate) revoke: bool,
    pub(crate) release: bool,
    pub(crate) operator: bool,
}

/// The checked hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    /// The file's bytes: what the keys' CKA_IDs are derived from.
    pub(crate) bytes: Vec<u8>,
    pub(crate) environment: String,
    pub(crate) pki: String,
    pub(crate) organization: String,
    pub(crate) root: PlannedAuthority,
    /// Seconds from the root CRL's thisUpdate to its nextUpdate.
    pub(crate) root_crl_lifetime: u64,
    pub(crate) issuing: Vec<PlannedAuthority>,
    pub(crate) management: PlannedAuthority,
    pub(crate) server: String,
    pub(crate) clients: Vec<PlannedClient>,
    pub(crate) responder: String,
}

/// A root CRL lasts at most a year (CRL-04).
const LONGEST_ROOT_CRL: u64 = 366 * 86_400;

impl Hierarchy {
    /// Reads and checks a hierarchy file.
    ///
    /// # Errors
    ///
    /// Says what is wrong and where.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = std::str::from_utf8(&bytes).with_context(|| path.display().to_string())?;
        let file: HierarchyFile =
            toml::from_str(text).with_context(|| format!("{} is refused", path.display()))?;
        ensure!(
            (1..=LONGEST_ROOT_CRL).contains(&file.root.crl.lifetime),
            "[root.crl] lifetime = {}; allowed are 1 to {LONGEST_ROOT_CRL} seconds (CRL-04)",
            file.root.crl.lifetime
        );
        let root =
            planned(&file.root.common_name, &file.root.key, file.root.algorithm, Vec::new())?;
        let issuing = file
            .issuing
            .into_iter()
            .map(|ca| {
                let mut planned = planned(&ca.common_name, &ca.key, ca.algorithm, ca.profiles)?;
                let class = |text: String| {
                    let read = IssuerClass::new(&text);
                    read.with_context(|| format!("class {text:?} of {}", ca.common_name))
                };
                planned.class = ca.class.map(class).transpose()?;
                Ok(planned)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let management = file.management;
        let mut names: Vec<&str> = issuing.iter().map(|ca| ca.name.as_str()).collect();
        names.push(&root.name);
        names.sort_unstable();
        let distinct = names.windows(2).all(|pair| pair.first() != pair.last());
        ensure!(distinct, "two authorities have the same short name");
        Ok(Self {
            environment: file.deployment.environment,
            pki: file.deployment.pki,
            organization: file.organization,
            root,
            root_crl_lifetime: file.root.crl.lifetime,
            issuing,
            management: planned(
                &management.common_name,
                &management.key,
                management.algorithm,
                Vec::new(),
            )?,
            server: management.server.clone(),
            clients: management
                .client
                .iter()
                .map(|client| PlannedClient {
                    name: client.name.clone(),
                    profiles: client.profiles.clone(),
                    read: client.read,
                    revoke: client.revoke,
                    release: client.release,
                    operator: client.operator,
                })
                .collect(),
            responder: file.responder.name,
            bytes,
        })
    }
}

fn planned(
    common_name: &str,
    key: &str,
    algorithm: Option<String>,
    profiles: Vec<String>,
) -> anyhow::Result<PlannedAuthority> {
    let name = short_name(common_name);
    ensure!(
        (1..=64).contains(&name.len()),
        "common name {common_name:?} has no short name of 1 to 64 letters and digits"
    );
    let key: KeyType = key.parse().with_context(|| format!("key {key:?} of {common_name}"))?;
    let algorithm = match algorithm {
        None => SignatureAlgorithm::default_for(key),
        Some(written) => written
            .parse()
            .ok()
            .filter(|algorithm: &SignatureAlgorithm| algorithm.fits(key))
            .ok_or_else(|| Refusal::Algorithm {
                authority: common_name.to_owned(),
                written,
                key,
                known: SignatureAlgorithm::names_for(key),
            })?,
    };
    let common_name = common_name.to_owned();
    Ok(PlannedAuthority { name, common_name, key, algorithm, profiles, class: None })
}

/// Lower-case letters and digits of a common name, as SITHS names its files:
/// `sithseidrootcav2.crl`.
fn short_name(common_name: &str) -> String {
    common_name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/hierarchy.toml"))
    }

    fn refused(from: &str, to: &str) -> String {
        let text = std::fs::read_to_string(shipped()).unwrap();
        assert!(text.contains(from));
        let path = std::env::temp_dir().join(format!(
            "sigill-hierarchy-{}-{}.toml",
            std::process::id(),
            short_name(to)
        ));
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Hierarchy::read(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        format!("{error:#}")
    }

    #[test]
    fn the_shipped_hierarchy_has_the_real_shape() {
        let hierarchy = Hierarchy::read(shipped()).unwrap();

        let rsa = hierarchy.issuing.iter().filter(|ca| ca.key == KeyType::Rsa { bits: 4096 });
        assert_eq!(rsa.count(), 6);
        assert_eq!(hierarchy.issuing.len(), 7);
        assert_eq!(hierarchy.root.name, "sigilltesteidrootcav1");
    }

    /// KEY-11: how a CA signs is what its file says, and by default what its key does.
    #[test]
    fn the_algorithm_is_what_the_file_says_or_the_keys_default() {
        let text = std::fs::read_to_string(shipped()).unwrap();
        let path =
            std::env::temp_dir().join(format!("sigill-hierarchy-{}-pss.toml", std::process::id()));
        let unsaid = "algorithm   = \"ecdsa-p256-sha256\"\n";
        assert!(text.contains(unsaid));
        let text = text.replace("rsa-pkcs1-sha512", "rsa-pss-sha384").replace(unsaid, "");
        std::fs::write(&path, text).unwrap();

        let hierarchy = Hierarchy::read(&path).unwrap();

        std::fs::remove_file(&path).unwrap();
        let algorithms: Vec<_> = hierarchy.issuing.iter().map(|ca| ca.algorithm).collect();
        assert_eq!(algorithms[..6], [SignatureAlgorithm::RsaPssSha384; 6]);
        assert_eq!(algorithms[6], SignatureAlgorithm::EcdsaP256Sha256);
        assert_eq!(hierarchy.management.algorithm, SignatureAlgorithm::EcdsaP256Sha256);
    }

    #[test]
    fn refuses_unknown_keys_unfit_algorithms_long_crls_and_twins() {
        assert!(refused("organization =", "orgnaization =").contains("orgnaization"));
        let unfit = refused("rsa-pkcs1-sha256", "ecdsa-p256-sha256");
        assert!(unfit.contains("rsa-4096") && unfit.contains("rsa-pss-sha256"), "{unfit}");
        assert!(refused("\"rsa-pkcs1-sha256\"", "\"rsa-pss\"").contains("\"rsa-pss\""));
        assert!(refused("31536000", "99999999").contains("CRL-04"));
        assert!(refused("Person ID 2 CA", "Person ID 3 CA").contains("same short name"));
    }
}

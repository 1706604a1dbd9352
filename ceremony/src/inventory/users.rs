//! Who uses which key, by the configurations of `sigill-ca` and `sigill-ocsp`.
//!
//! Only what names keys is read of them; the programs themselves judge the rest (`check-config`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ca::algorithms::AlgorithmPolicy;
use ca::deployment::Deployment;
use hsm::token::TokenName;
use serde::Deserialize;
use x509::import::ImportedCertificate;
use x509::pem::{self, Label};

use super::InventoryError;

/// The keys that configurations name.
#[derive(Debug, Default)]
pub(crate) struct Users {
    read: usize,
    /// SPKI hash to users.
    by_key: BTreeMap<String, Vec<String>>,
    /// SPKI hash and user of the keys that belong on the token.
    here: Vec<(String, String)>,
    /// Whether a configuration names the token.
    names_token: bool,
    /// The PKCS#11 module by which a configuration reaches it.
    module: Option<PathBuf>,
    /// Its device profile.
    profile: Option<PathBuf>,
    /// Whether a configuration lets software tokens sign everywhere.
    danger_software_token: bool,
    /// The algorithm policy that a configuration names.
    algorithm_policy: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigParts {
    deployment: DeploymentPart,
    hsm: HsmPart,
    api: Option<ApiPart>,
    management: Option<ManagementPart>,
    publication: Option<PublicationPart>,
    algorithm_policy: Option<PathBuf>,
    #[serde(default, rename = "authority")]
    authorities: Vec<AuthorityPart>,
}

#[derive(Deserialize)]
struct DeploymentPart {
    environment: String,
    pki: String,
    instance: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct HsmPart {
    module: PathBuf,
    profile: Option<PathBuf>,
    #[serde(default, rename = "token")]
    tokens: Vec<TokenPart>,
    /// Of `sigill-ocsp`, with `serial` and `identity`.
    role: Option<String>,
    serial: Option<String>,
    identity: Option<String>,
    #[serde(default)]
    danger_software_token: bool,
}

#[derive(Deserialize)]
struct TokenPart {
    role: String,
    serial: String,
    module: Option<PathBuf>,
    profile: Option<PathBuf>,
}

impl HsmPart {
    /// The module and device profile of one of its tokens. A profile beside the module is of that one's
    /// device, and no other's.
    fn device<'a>(&'a self, token: Option<&'a TokenPart>) -> (&'a Path, Option<&'a Path>) {
        let own = token.and_then(|token| token.module.as_deref());
        let profile = token.and_then(|token| token.profile.as_deref());
        let shared = self.profile.as_deref().filter(|_| own.is_none());
        (own.unwrap_or(&self.module), profile.or(shared))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ApiPart {
    management_ca: PathBuf,
}

#[derive(Deserialize)]
struct ManagementPart {
    token: String,
}

#[derive(Deserialize)]
struct PublicationPart {
    folder: PathBuf,
    outbox: PathBuf,
}

#[derive(Deserialize)]
struct AuthorityPart {
    name: String,
    certificate: Option<PathBuf>,
    token: Option<String>,
    standby: Option<Roles>,
}

/// A role, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Roles {
    One(String),
    Several(Vec<String>),
}

impl AuthorityPart {
    /// The roles of the tokens that hold its key.
    fn roles(&self) -> impl Iterator<Item = &str> {
        let standby = match &self.standby {
            None => [].as_slice(),
            Some(Roles::One(role)) => std::slice::from_ref(role),
            Some(Roles::Several(roles)) => roles,
        };
        self.token.iter().chain(standby).map(String::as_str)
    }
}

impl Users {
    /// Reads the configurations, which must be of the token's deployment.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] names the file.
    pub(crate) fn read(paths: &[PathBuf], token: &TokenName) -> Result<Self, InventoryError> {
        let mut users = Self::default();
        for path in paths {
            users.take(path, token)?;
        }
        Ok(users)
    }

    fn take(&mut self, path: &Path, token: &TokenName) -> Result<(), InventoryError> {
        let text = std::fs::read_to_string(path).map_err(InventoryError::unreadable(path))?;
        let refused = |why: String| InventoryError::Config { path: path.to_path_buf(), why };
        let parts: ConfigParts =
            toml::from_str(&text).map_err(|error| refused(error.message().to_owned()))?;
        let DeploymentPart { environment, pki, instance } = &parts.deployment;
        let deployment = Deployment::from_parts(environment, pki, instance)
            .map_err(|error| refused(error.to_string()))?;
        let label = |role: &str| -> Result<String, InventoryError> {
            let role = role.parse().map_err(|_| refused(format!("{role:?} is no role")))?;
            Ok(deployment.token_label(&role))
        };
        if !label("x")?.starts_with(token.label.deployment()) {
            let (path, found) = (path.to_path_buf(), deployment.to_string());
            return Err(InventoryError::OtherDeployment {
                path,
                found,
                label: token.label.clone(),
            });
        }
        let base = path.parent().unwrap_or(Path::new(""));
        let mut role_here = None;
        let responder = parts.hsm.role.iter().zip(&parts.hsm.serial);
        let responder = responder.map(|(role, serial)| (role, serial, None));
        let tokens = parts.hsm.tokens.iter().map(|part| (&part.role, &part.serial, Some(part)));
        for (role, serial, part) in tokens.chain(responder) {
            if label(role)? == token.label.as_str() && *serial == token.serial.as_str() {
                role_here = Some(role.as_str());
                let (module, profile) = parts.hsm.device(part);
                self.module = Some(module.to_owned());
                self.profile = profile.map(|profile| base.join(profile)).or(self.profile.take());
            }
        }
        self.read = self.read.saturating_add(1);
        self.names_token |= role_here.is_some();
        if let Some(policy) = &parts.algorithm_policy {
            self.algorithm_policy = Some(base.join(policy));
        }
        self.danger_software_token |= parts.hsm.danger_software_token;
        for authority in &parts.authorities {
            let Some(certificate) = &authority.certificate else { continue };
            let key = key_of(&base.join(certificate))?;
            let is_here = authority.roles().any(|role| role_here == Some(role));
            self.add(key, format!("authority {}", authority.name), is_here);
        }
        if let (Some(api), Some(management)) = (&parts.api, &parts.management) {
            let is_here = Some(management.token.as_str()) == role_here;
            self.add(key_of(&base.join(&api.management_ca))?, "management CA".to_owned(), is_here);
        }
        if let Some(identity) = &parts.hsm.identity {
            let is_here = role_here.is_some() && parts.hsm.role.as_deref() == role_here;
            self.add(identity.to_lowercase(), "responder identity".to_owned(), is_here);
            let folders = parts.publication.iter().flat_map(|part| [&part.folder, &part.outbox]);
            for folder in folders {
                self.take_delegates(&base.join(folder).join("responder"))?;
            }
        }
        Ok(())
    }

    /// Delegates' files are named by their keys: `<ca>/<spki>.cer`, and `.req` while they wait. Not
    /// every one is this responder's, so none must be here.
    fn take_delegates(&mut self, folder: &Path) -> Result<(), InventoryError> {
        for authority in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = authority.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for file in entries(&authority)? {
                let key = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let user = format!("delegate of {name}");
                if key.len() == 64 && !self.of(&key).contains(&user) {
                    self.add(key, user, false);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, key: String, user: String, is_here: bool) {
        if is_here {
            self.here.push((key.clone(), user.clone()));
        }
        self.by_key.entry(key).or_default().push(user);
    }

    /// Whether any configuration was given.
    pub(crate) const fn are_known(&self) -> bool {
        self.read > 0
    }

    /// Whether a configuration names the token, or none was given.
    pub(crate) const fn name_the_token(&self) -> bool {
        self.names_token || self.read == 0
    }

    /// The module by which a configuration reaches the token, where it names the token.
    pub(crate) fn module(&self) -> Option<&Path> {
        self.module.as_deref()
    }

    /// The device profile of the token, where a configuration names one.
    pub(crate) fn profile(&self) -> Option<&Path> {
        self.profile.as_deref()
    }

    /// Reads the algorithm policy that a configuration names; else the shipped one.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] names the file.
    pub(crate) fn algorithms(&self) -> anyhow::Result<AlgorithmPolicy> {
        let Some(path) = &self.algorithm_policy else { return Ok(AlgorithmPolicy::shipped()?) };
        let text = std::fs::read_to_string(path).map_err(InventoryError::unreadable(path))?;
        Ok(AlgorithmPolicy::parse(&text)
            .map_err(|source| InventoryError::Policy { path: path.clone(), source })?)
    }

    /// Whether software tokens may sign everywhere.
    pub(crate) const fn allow_software(&self) -> bool {
        self.danger_software_token
    }

    /// Who uses the key.
    pub(crate) fn of(&self, key: &str) -> Vec<String> {
        self.by_key.get(key).cloned().unwrap_or_default()
    }

    /// The keys that belong on the token, with their users.
    pub(crate) fn here(&self) -> impl Iterator<Item = (&str, &str)> {
        self.here.iter().map(|(key, user)| (key.as_str(), user.as_str()))
    }
}

/// The SPKI hash of the first certificate of a file, DER or PEM.
fn key_of(path: &Path) -> Result<String, InventoryError> {
    let bytes = std::fs::read(path).map_err(InventoryError::unreadable(path))?;
    let refused = |why: &str| InventoryError::Config {
        path: path.to_path_buf(),
        why: format!("it names this file as a certificate, and {why}"),
    };
    let blocks = std::str::from_utf8(&bytes).ok().and_then(|text| pem::decode(text).ok());
    let der = blocks
        .into_iter()
        .flatten()
        .find_map(|(label, der)| (label == Label::Certificate).then_some(der))
        .unwrap_or(bytes);
    let certificate = ImportedCertificate::from_der(&der).map_err(|_| refused("it is none"))?;
    let key = certificate.public_key().ok_or_else(|| refused("its key is of no known kind"))?;
    Ok(key.spki_hash().to_string())
}

/// What lies in a folder; nothing where it is not there. One that cannot be read would make keys look unexpected.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let unreadable = |source| InventoryError::Unreadable { path: folder.to_owned(), source };
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be read is not taken for empty: keys would look unexpected, and be destroyed.
    #[test]
    fn a_folder_that_cannot_be_read_is_no_empty_one() {
        let home = tempfile::tempdir().unwrap();
        let (none, file) = (home.path().join("none"), home.path().join("file"));
        std::fs::write(&file, "").unwrap();

        assert!(entries(&none).unwrap().is_empty());
        assert!(
            matches!(entries(&file), Err(InventoryError::Unreadable { path, .. }) if path == file)
        );
    }

    fn parts(text: &str) -> ConfigParts {
        toml::from_str(text).unwrap()
    }

    fn example(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo");
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    /// KEY-07: what an inventory reads of the annotated configurations, so that a name that changes there
    /// makes no key unused here.
    #[test]
    fn reads_the_annotated_examples() {
        let ca = parts(&example("ca.toml"));
        let tokens: Vec<&str> = ca.hsm.tokens.iter().map(|token| token.role.as_str()).collect();
        assert_eq!(tokens, ["issuing", "management"]);
        assert!(ca.api.is_some());
        assert_eq!(ca.management.unwrap().token, "management");
        assert!(ca.authorities.iter().any(|one| one.roles().any(|role| role == "issuing")));
        assert!(ca.authorities.iter().all(|one| one.certificate.is_some()));
        assert!(!ca.hsm.danger_software_token);

        let responder = parts(&example("ocsp.toml"));
        assert_eq!(responder.hsm.role.as_deref(), Some("responder"));
        assert!(responder.hsm.serial.is_some() && responder.hsm.identity.is_some());
        assert!(responder.publication.is_some());
    }

    /// The rule of `sigill-ca`: a token with a module of its own does not take the profile of the others.
    #[test]
    fn a_token_has_the_module_and_the_profile_of_its_device() {
        let text =
            example("ca.toml").replacen("\n[hsm]\n", "\n[hsm]\nprofile = \"shared.json\"\n", 1);
        let device = |changed: &str| {
            let token = "\n[[hsm.token]]\n";
            let hsm = parts(&text.replacen(token, &format!("{token}{changed}\n"), 1)).hsm;
            let (module, profile) = hsm.device(hsm.tokens.first());
            (module.to_owned(), profile.map(Path::to_owned))
        };
        let usual = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
        let shared = Some(PathBuf::from("shared.json"));
        assert_eq!(device(""), (usual.clone(), shared));
        let own = "module = \"/m.so\"";
        assert_eq!(device(own), ("/m.so".into(), None));
        let both = format!("{own}\nprofile = \"own.json\"");
        assert_eq!(device(&both), ("/m.so".into(), Some("own.json".into())));
    }
}

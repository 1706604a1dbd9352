//! What a demo leaves: the manifest for `sigill-ca import`, and the programs' configurations.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use ca::deployment::{Deployment, Pki};
use hsm::token::TokenName;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::key::{PublicKey, SpkiHash};

use crate::hierarchy::{Hierarchy, PlannedAuthority, PlannedClient};
use crate::home::{Home, replace};
use crate::kept::Keeper;

/// Where the programs listen.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) api: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) observe_ca: SocketAddr,
    pub(crate) observe_ocsp: SocketAddr,
}

/// URLs of an authority, as they stand in certificates.
pub(crate) struct Urls {
    pub(crate) crl: String,
    pub(crate) ocsp: String,
    pub(crate) aia: String,
}

impl Ports {
    pub(crate) fn urls(&self, authority: &str) -> Urls {
        let base = format!("http://{}", self.public);
        Urls {
            crl: format!("{base}/crl/{authority}.crl"),
            aia: format!("{base}/aia/{authority}.cer"),
            ocsp: base,
        }
    }
}

/// An authority that was made; `token` is absent for the one that goes offline.
pub(crate) struct MadeAuthority {
    pub(crate) planned: PlannedAuthority,
    pub(crate) certificate: Certificate,
    pub(crate) token: Option<TokenName>,
}

/// A client's credentials that were made.
pub(crate) struct MadeClient {
    pub(crate) planned: PlannedClient,
    pub(crate) spki: SpkiHash,
}

/// Everything that was made. The root comes first among the authorities.
pub(crate) struct Made {
    pub(crate) authorities: Vec<MadeAuthority>,
    pub(crate) management: Certificate,
    pub(crate) management_token: TokenName,
    pub(crate) issuing_token: TokenName,
    pub(crate) responder_token: TokenName,
    pub(crate) identity: PublicKey,
    pub(crate) delegate: Certificate,
    pub(crate) crl: Vec<u8>,
    /// Public note keys: status, audit, manifest.
    pub(crate) notes: [[u8; 32]; 3],
    pub(crate) clients: Vec<MadeClient>,
}

/// Writes what followers and auditors pin, and at the very end the manifest.
///
/// # Errors
///
/// Names the file that cannot be written.
pub(crate) fn write(
    home: &Home,
    hierarchy: &Hierarchy,
    deployment: Deployment,
    made: &Made,
) -> anyhow::Result<()> {
    for (name, key) in ["status", "audit", "manifest"].into_iter().zip(made.notes) {
        let public = format!("{}\n", base16ct::lower::encode_string(&key));
        replace(&home.out(&format!("note-{name}.pub")), public.as_bytes())?;
    }
    let manifest = manifest(hierarchy, deployment, made)?;
    replace(&home.out("outputs.json"), manifest.as_bytes())
}

/// Writes both programs' configurations, unless they are the operator's already.
///
/// # Errors
///
/// Names the file that cannot be written.
pub(crate) fn configure(
    keeper: &mut Keeper<'_>,
    hierarchy: &Hierarchy,
    deployment: Deployment,
    module: &Path,
    ports: &Ports,
    made: &Made,
) -> anyhow::Result<()> {
    let ca = ca_configuration(hierarchy, deployment, module, ports, made)?;
    keeper.write("config/ca.toml", ca.as_bytes())?;
    let ocsp = ocsp_configuration(hierarchy, deployment, module, ports, made)?;
    keeper.write("config/ocsp.toml", ocsp.as_bytes())
}

fn manifest(hierarchy: &Hierarchy, deployment: Deployment, made: &Made) -> anyhow::Result<String> {
    let root = &hierarchy.root.name;
    let authorities: Vec<_> = made
        .authorities
        .iter()
        .map(|authority| {
            json!({
                "name": authority.planned.name,
                "certificate": format!("{}.cer", authority.planned.name),
                "sha256": sha256(authority.certificate.as_der()),
            })
        })
        .collect();
    let value = json!({
        "format": "sigill-ceremony-outputs/1",
        "deployment": {
            "environment": hierarchy.environment,
            "pki": hierarchy.pki,
            "instance": deployment.instance().to_string(),
        },
        "authorities": authorities,
        "crls": [{
            "authority": root,
            "crl": format!("{root}.crl"),
            "sha256": sha256(&made.crl),
        }],
        "delegates": [{
            "authority": root,
            "certificate": format!("delegate-{root}.cer"),
            "sha256": sha256(made.delegate.as_der()),
        }],
        "responders": [{
            "name": hierarchy.responder,
            "identity": format!("responder-{}.spki", hierarchy.responder),
            "spki-sha256": made.identity.spki_hash().to_string(),
        }],
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn deployment_section(hierarchy: &Hierarchy, deployment: Deployment) -> String {
    format!(
        "[deployment]\nenvironment = \"{}\"\npki = \"{}\"\ninstance = \"{}\"\n",
        hierarchy.environment,
        hierarchy.pki,
        deployment.instance()
    )
}

fn ca_configuration(
    hierarchy: &Hierarchy,
    deployment: Deployment,
    module: &Path,
    ports: &Ports,
    made: &Made,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Written by sigill-ceremony demo. Every key is explained in environments/demo/ca.toml.\n\nprofiles = \"profiles\"\n\n",
    );
    text.push_str(&deployment_section(hierarchy, deployment));
    writeln!(text, "node = \"{}\"\n", hierarchy.server)?;
    writeln!(
        text,
        "[api]\nlisten = \"{}\"\ncertificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\nmanagement-ca = \"../tls/management-ca.pem\"\nmanagement-ca-sha256 = \"{}\"\n",
        ports.api,
        sha256(made.management.as_der())
    )?;
    if deployment.pki() == Pki::Demo {
        writeln!(
            text,
            "# What a client asks for nobody has to have signed: for trying things out, and refused elsewhere.\n[actor-statements]\ndirect = true\n"
        )?;
    }
    writeln!(text, "[observe]\nlisten = \"{}\"\n", ports.observe_ca)?;
    writeln!(
        text,
        "[database]\npath = \"../state/ca.sqlite\"\nsealing-keys = \"../keys/sealing.keys\"\n"
    )?;
    writeln!(
        text,
        "[hsm]\nmodule = \"{}\"\nstate = \"../state\"\n\n[[hsm.token]]\nrole = \"issuing\"\nserial = \"{}\"\npin = \"../pins/issuing.pin\"\n",
        module.display(),
        made.issuing_token.serial
    )?;
    writeln!(
        text,
        "[[hsm.token]]\nrole = \"management\"\nserial = \"{}\"\npin = \"../pins/management.pin\"\nsessions = 1\n\n[management]\ntoken = \"management\"\n",
        made.management_token.serial
    )?;
    writeln!(
        text,
        "[notes]\nstatus = \"../keys/note-status.key\"\naudit = \"../keys/note-audit.key\"\nmanifest = \"../keys/note-manifest.key\"\n"
    )?;
    writeln!(
        text,
        "# For how long the program may stand still before its clock wants confirming: environments/demo/ca.toml.\n[clock]\nlongest-stop = 2592000\n"
    )?;
    writeln!(
        text,
        "[publication]\nfolder = \"../publish\"\noutbox = \"../outbox\"\naudit = \"../audit\"\nspool = \"../publish/.spool\"\n"
    )?;
    for authority in &made.authorities {
        let PlannedAuthority { name, algorithm, profiles, class, .. } = &authority.planned;
        let urls = ports.urls(name);
        writeln!(
            text,
            "[[authority]]\nname = \"{name}\"\ncertificate = \"../ceremony/out/{name}.cer\"\nsha256 = \"{}\"",
            sha256(authority.certificate.as_der())
        )?;
        if let Some(class) = class {
            writeln!(text, "class = \"{class}\"")?;
        }
        if authority.token.is_some() {
            writeln!(text, "token = \"issuing\"")?;
        }
        writeln!(
            text,
            "algorithm = \"{algorithm}\"\ncrl-url = \"{}\"\nocsp-url = \"{}\"\naia-url = \"{}\"\nprofiles = {profiles:?}\n",
            urls.crl, urls.ocsp, urls.aia
        )?;
    }
    for client in &made.clients {
        let PlannedClient { name, profiles, read, revoke, release, operator } = &client.planned;
        writeln!(
            text,
            "[[client]]\nname = \"{name}\"\nspki-sha256 = \"{}\"\nprofiles = {profiles:?}\nread = {read}\nrevoke = {revoke}\nrelease = {release}\noperator = {operator}\n",
            client.spki
        )?;
    }
    Ok(text)
}

fn ocsp_configuration(
    hierarchy: &Hierarchy,
    deployment: Deployment,
    module: &Path,
    ports: &Ports,
    made: &Made,
) -> anyhow::Result<String> {
    let [status, _, manifest] = made.notes.map(|key| base16ct::lower::encode_string(&key));
    let mut text = String::from(
        "# Written by sigill-ceremony demo. Every key is explained in environments/demo/ocsp.toml.\n\nstate = \"../ocsp\"\n\n",
    );
    text.push_str(&deployment_section(hierarchy, deployment));
    writeln!(
        text,
        "\n[publication]\nfolder = \"../publish\"\noutbox = \"../outbox\"\n\n[log]\nkey = \"{status}\"\nmanifest-key = \"{manifest}\"\n"
    )?;
    writeln!(
        text,
        "[hsm]\nmodule = \"{}\"\nrole = \"responder\"\nserial = \"{}\"\npin = \"../pins/responder.pin\"\nidentity = \"{}\"\n",
        module.display(),
        made.responder_token.serial,
        made.identity.spki_hash()
    )?;
    writeln!(
        text,
        "[http]\nlisten = \"{}\"\n\n[observe]\nlisten = \"{}\"\n",
        ports.public, ports.observe_ocsp
    )?;
    for authority in &made.authorities {
        let source = if authority.token.is_some() { "requested" } else { "ceremony" };
        writeln!(
            text,
            "[[authority]]\nname = \"{}\"\nsha256 = \"{}\"\ndelegates = \"{source}\"\n",
            authority.planned.name,
            sha256(authority.certificate.as_der())
        )?;
    }
    writeln!(text, "[[serve]]\npath = \"/\"\nobject = \"ocsp\"\n")?;
    for authority in &made.authorities {
        let name = &authority.planned.name;
        for object in [format!("crl/{name}.crl"), format!("aia/{name}.cer")] {
            writeln!(text, "[[serve]]\npath = \"/{object}\"\nobject = \"{object}\"\n")?;
        }
    }
    Ok(text)
}

fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

//! A ceremony that came to its end is read from its outputs: no login, no secret, nothing drawn.

use std::path::Path;

use anyhow::Context as _;
use ca::deployment::{Deployment, RoleName};
use hsm::Module;
use hsm::token::{TokenLabel, TokenName};
use x509::certificate::Certificate;
use x509::key::PublicKey;

use crate::hierarchy::Hierarchy;
use crate::home::Home;
use crate::outputs::{Made, MadeAuthority, MadeClient};
use crate::refusal::Refusal;
use crate::tokens::Role;

/// Whether the ceremony of this home came to its end: its manifest is written last.
pub(crate) fn is(home: &Home) -> bool {
    home.out("outputs.json").exists()
}

/// What it made.
///
/// # Errors
///
/// [`Refusal`] where an output or a token is missing.
pub(crate) fn read(
    home: &Home,
    hierarchy: &Hierarchy,
    module: &Path,
    deployment: Deployment,
) -> anyhow::Result<Made> {
    let module = Module::load(module)?;
    let token = |role: Role| token(&module, deployment, role);
    let issuing = token(Role::Issuing)?;
    let root = &hierarchy.root;
    let mut authorities = vec![MadeAuthority {
        planned: root.clone(),
        certificate: certificate(home, &root.name)?,
        token: None,
    }];
    for planned in &hierarchy.issuing {
        let certificate = certificate(home, &planned.name)?;
        let (planned, token) = (planned.clone(), Some(issuing.clone()));
        authorities.push(MadeAuthority { planned, certificate, token });
    }
    let client = |planned: &crate::hierarchy::PlannedClient| {
        let certificate = certificate(home, &format!("management-{}", planned.name))?;
        anyhow::Ok(MadeClient {
            planned: planned.clone(),
            spki: certificate.public_key().spki_hash(),
        })
    };
    let identity = output(home, &format!("responder-{}.spki", hierarchy.responder))?;
    Ok(Made {
        authorities,
        management: certificate(home, "management-ca")?,
        management_token: token(Role::Management)?,
        responder_token: token(Role::Responder)?,
        issuing_token: issuing,
        identity: PublicKey::from_spki_der(&identity)?,
        delegate: certificate(home, &format!("delegate-{}", root.name))?,
        crl: output(home, &format!("{}.crl", root.name))?,
        notes: [note(home, "status")?, note(home, "audit")?, note(home, "manifest")?],
        clients: hierarchy.clients.iter().map(client).collect::<anyhow::Result<_>>()?,
    })
}

fn token(module: &Module, deployment: Deployment, role: Role) -> anyhow::Result<TokenName> {
    let role: RoleName = role.name().parse()?;
    let label: TokenLabel = deployment.token_label(&role).parse()?;
    let known = hsm::token::list(module)?;
    let mut known = known.into_iter().filter(|token| token.label == label.as_str());
    match (known.next(), known.count()) {
        (Some(token), 0) => Ok(TokenName { label, serial: token.serial.parse()? }),
        (first, more) => {
            let found = usize::from(first.is_some()).saturating_add(more);
            Err(Refusal::Token { label: label.to_string(), found }.into())
        }
    }
}

fn output(home: &Home, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = home.out(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Refusal::OutputMissing { path }.into())
        }
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn certificate(home: &Home, name: &str) -> anyhow::Result<Certificate> {
    let file = format!("{name}.cer");
    Certificate::from_der(&output(home, &file)?).with_context(|| file)
}

fn note(home: &Home, name: &str) -> anyhow::Result<[u8; 32]> {
    let file = format!("note-{name}.pub");
    let text = output(home, &file)?;
    let mut key = [0; 32];
    let found = base16ct::lower::decode(text.trim_ascii(), &mut key)
        .map_err(|error| anyhow::anyhow!("{file} is not a public key in hexadecimal: {error}"))?;
    anyhow::ensure!(found.len() == 32, "{file} has {} octets, expected are 32", found.len());
    Ok(key)
}

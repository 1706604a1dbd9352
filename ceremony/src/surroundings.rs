//! What operators and their shells need beside the configurations: `env` to source, CA
//! certificates in PEM, and the ports.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use ca::deployment::Deployment;
use x509::certificate::Certificate;

use crate::home::Home;
use crate::kept::Keeper;
use crate::outputs::{Made, Ports};

/// Writes `env`, `trust` and `ports` where they are missing.
///
/// # Errors
///
/// Names the file that cannot be written.
pub(crate) fn write(
    keeper: &Keeper<'_>,
    home: &Home,
    deployment: Deployment,
    ports: &Ports,
    made: &Made,
) -> anyhow::Result<()> {
    let (root, issuing) = made.authorities.split_first().context("no root was made")?;
    let root = pem(&root.certificate);
    let mut chain: String = issuing.iter().map(|one| pem(&one.certificate)).collect();
    chain.push_str(&root);
    std::fs::create_dir_all(home.join("trust")).context("cannot make the folder trust")?;
    keeper.write_missing("trust/root.pem", root.as_bytes())?;
    keeper.write_missing("trust/chain.pem", chain.as_bytes())?;
    let (api, public) = (ports.api.port(), ports.public.port());
    let (observe_ca, observe_ocsp) = (ports.observe_ca.port(), ports.observe_ocsp.port());
    let text = format!(
        "api={api}\npublic={public}\nobserve-ca={observe_ca}\nobserve-ocsp={observe_ocsp}\n"
    );
    keeper.write_missing("ports", text.as_bytes())?;
    keeper.write_missing("env", env(home, deployment, ports, made)?.as_bytes())
}

/// Variables for `sigill`, `sigill-verify` and the pages of docs/operations.
fn env(home: &Home, deployment: Deployment, ports: &Ports, made: &Made) -> anyhow::Result<String> {
    let path = |name: &str| quoted(&home.join(name));
    let [status, audit, manifest] = made.notes.map(|key| base16ct::lower::encode_string(&key));
    let programs = std::env::current_exe().context("cannot find this program")?;
    let programs = programs.parent().unwrap_or(Path::new("/"));
    let mut text = String::from("# This PKI, for shells: source this file.\n");
    let mut line = |name: &str, value: String| writeln!(text, "export {name}={value}");
    line("SIGILL_BIN", quoted(programs))?;
    line("SIGILL_HOME", quoted(home.root()))?;
    line("SIGILL_API_URL", format!("'https://{}'", ports.api))?;
    line("SIGILL_OCSP_URL", format!("'http://{}'", ports.public))?;
    line("SIGILL_PUBLIC_URL", format!("'http://{}'", ports.public))?;
    line("SIGILL_OBSERVE_CA_URL", format!("'http://{}'", ports.observe_ca))?;
    line("SIGILL_OBSERVE_OCSP_URL", format!("'http://{}'", ports.observe_ocsp))?;
    line("SIGILL_ROOT", path("trust/root.pem"))?;
    line("SIGILL_CHAIN", path("trust/chain.pem"))?;
    line("SIGILL_MANAGEMENT_CA", path("tls/management-ca.pem"))?;
    line("SIGILL_PORTAL_CERT", path("tls/portal.pem"))?;
    line("SIGILL_PORTAL_KEY", path("tls/portal.key"))?;
    line("SIGILL_STATUS_ORIGIN", format!("'sigill/{deployment}/status/1'"))?;
    line("SIGILL_STATUS_KEY", format!("'{status}'"))?;
    line("SIGILL_AUDIT_ORIGIN", format!("'sigill/{deployment}/audit/1'"))?;
    line("SIGILL_AUDIT_KEY", format!("'{audit}'"))?;
    line("SIGILL_MANIFEST_KEY", format!("'{manifest}'"))?;
    line("SOFTHSM2_CONF", path("softhsm2.conf"))?;
    text.push_str(
        "case \":$PATH:\" in *\":$SIGILL_BIN:\"*) ;; *) export PATH=\"$SIGILL_BIN:$PATH\" ;; esac\n",
    );
    Ok(text)
}

fn pem(certificate: &Certificate) -> String {
    x509::pem::encode(x509::pem::Label::Certificate, certificate.as_der())
}

/// A path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judged by a shell.
    #[test]
    fn a_path_with_spaces_and_quotes_is_one_word() {
        let path = Path::new("/tmp/it's a \"home\" $HOME");

        let said = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(path))])
            .output()
            .unwrap();

        assert_eq!(String::from_utf8(said.stdout).unwrap(), path.display().to_string());
    }
}

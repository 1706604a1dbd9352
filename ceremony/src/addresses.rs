//! The addresses that a home was made with. They stand in certificates, so they are kept.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use crate::home::{Home, replace};
use crate::outputs::Ports;
use crate::refusal::Refusal;

/// Addresses that a demo is asked for; none where it is to keep or choose one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) api: Option<SocketAddr>,
    pub(crate) public: Option<SocketAddr>,
    pub(crate) observe_ca: Option<SocketAddr>,
    pub(crate) observe_ocsp: Option<SocketAddr>,
}

/// Where the record lies: a line `PLACE=ADDRESS` for each.
const RECORD: &str = "ceremony/addresses";

/// The addresses of this home: those that it was made with, else those asked for, else the usual.
///
/// # Errors
///
/// [`Refusal::Address`] where another is asked for than the home was made with.
pub(crate) fn settle(home: &Home, asked: &Asked) -> anyhow::Result<Ports> {
    let made = Made::read(home)?;
    let settle = |option: &'static str, asked: Option<SocketAddr>, usual: u16| match (
        made.of(option)?,
        asked,
    ) {
        (Some(made), Some(asked)) if made != asked => {
            Err(Refusal::Address { option, made, asked }.into())
        }
        (Some(made), _) => Ok(made),
        (None, Some(asked)) => Ok(asked),
        (None, None) => anyhow::Ok(SocketAddr::from(([127, 0, 0, 1], usual))),
    };
    let ports = Ports {
        api: settle("api", asked.api, 18443)?,
        public: settle("public", asked.public, 18080)?,
        observe_ca: settle("observe-ca", asked.observe_ca, 18444)?,
        observe_ocsp: settle("observe-ocsp", asked.observe_ocsp, 18081)?,
    };
    let path = home.join(RECORD);
    if !path.exists() {
        let Ports { api, public, observe_ca, observe_ocsp } = &ports;
        let text = format!(
            "api={api}\npublic={public}\nobserve-ca={observe_ca}\nobserve-ocsp={observe_ocsp}\n"
        );
        replace(&path, text.as_bytes())?;
    }
    Ok(ports)
}

/// What a home was made with.
enum Made {
    /// By its record.
    Recorded(String),
    /// By its configurations: homes of versions that kept no record.
    Configured { ca: toml::Table, ocsp: toml::Table },
    /// It is new.
    Nothing,
}

impl Made {
    fn read(home: &Home) -> anyhow::Result<Self> {
        if let Some(text) = text(&home.join(RECORD))? {
            return Ok(Self::Recorded(text));
        }
        let (ca, ocsp) = (home.join("config/ca.toml"), home.join("config/ocsp.toml"));
        Ok(match (text(&ca)?, text(&ocsp)?) {
            (Some(ca_text), Some(ocsp_text)) => Self::Configured {
                ca: ca_text.parse().with_context(|| ca.display().to_string())?,
                ocsp: ocsp_text.parse().with_context(|| ocsp.display().to_string())?,
            },
            _ => Self::Nothing,
        })
    }

    fn of(&self, option: &str) -> anyhow::Result<Option<SocketAddr>> {
        let text = match self {
            Self::Recorded(text) => {
                text.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('='))
            }
            Self::Configured { ca, ocsp } => {
                let (table, section) = match option {
                    "api" => (ca, "api"),
                    "observe-ca" => (ca, "observe"),
                    "public" => (ocsp, "http"),
                    _ => (ocsp, "observe"),
                };
                table.get(section).and_then(|section| section.get("listen")?.as_str())
            }
            Self::Nothing => None,
        };
        text.map(|text| text.parse().with_context(|| format!("address {text:?} of {option}")))
            .transpose()
    }
}

/// The text of a file; none where there is no file.
fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

//! `sigill register`: what registers say of a person.

use clap::{Args, Subcommand};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts};

/// What can be asked of registers.
#[derive(Debug, Subcommand)]
pub(crate) enum RegisterCommand {
    /// What the register says now: the HSA catalogue of an HSA-id, the personal-data service of a number. Who asked for whom is noted.
    #[command(
        after_help = "Example:\n  sigill register check --hsa-id TST2321000016-1002\n  sigill register check --person 19121212-1212 --json"
    )]
    Check(Check),
}

/// Of whom.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// HSA-id: the HSA catalogue is asked.
    #[arg(long, value_name = "HSA-ID", required_unless_present = "person")]
    hsa_id: Option<String>,
    /// Personal or coordination number, 12 digits: the personal-data service is asked.
    #[arg(long, value_name = "NUMBER", conflicts_with = "hsa_id")]
    person: Option<String>,
}

impl RegisterCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let Self::Check(Check { hsa_id, person }) = self;
        let asked = api::RegisterLookup { hsa_id: hsa_id.clone(), person: person.clone() };
        let says: api::RegisterSays = client.ask("/v1/registers/lookup", &asked)?;
        terminal.result(&says, || {
            let mut all = vec![
                ("register", says.register.clone()),
                ("source", says.source.clone()),
                ("as of", says.as_of.clone()),
                ("answer", says.answer.clone()),
                ("protection", super::word(says.protection)),
            ];
            let of = says.attributes.iter();
            all.extend(of.map(|(name, values)| (name.as_str(), values.join("; "))));
            facts(&all)
        });
        Ok(())
    }
}

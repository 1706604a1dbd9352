//! A card reader with cards in it, for trying out the portal: each card a folder, its keys sealed by the PINs that its holder chose.
//!
//! It is no security: who has the folder tries all PINs. It behaves as a card does towards a portal: it makes keys that never leave it, asks for a
//! PIN for each signature, shows what it is about to sign, and locks after three wrong ones.

mod ask;
mod card;
mod pages;
mod seal;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portal::serving::{Site, serve};

use crate::card::{Cards, Pins};
use crate::pages::Reader;

/// A card reader with soft cards, for the example portal.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  example-card serve --cards cards --listen 127.0.0.1:18701 --portal http://127.0.0.1:18700"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the reader's pages until ended.
    #[command(
        after_help = "Example:\n  example-card serve --cards cards --listen 127.0.0.1:18701 --portal http://127.0.0.1:18700"
    )]
    Serve {
        /// The folder of the cards.
        #[arg(long)]
        cards: PathBuf,
        /// Where to listen: loopback alone.
        #[arg(long, default_value = "127.0.0.1:18701")]
        listen: SocketAddr,
        /// The portal whose questions are answered, and where answers go: no other.
        #[arg(long, default_value = "http://127.0.0.1:18700")]
        portal: String,
    },
    /// Make a card, choose its PINs, and write its request for a certificate for authentication, without a browser.
    #[command(
        after_help = "Example:\n  example-card make --cards cards --number 9752269874512325436 --label Anna --pins pins --request anna.csr"
    )]
    Make {
        /// The folder of the cards.
        #[arg(long)]
        cards: PathBuf,
        /// The number of the card, 19 digits.
        #[arg(long)]
        number: String,
        /// What stands on it.
        #[arg(long)]
        label: String,
        /// File with its two PINs, a line each: for authentication, for signatures.
        #[arg(long, value_name = "FILE")]
        pins: PathBuf,
        /// Where the request goes, PEM.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { cards, listen, portal } => {
            let reader = Reader::new(Cards::open(&cards)?, &portal);
            let site = Site { listen, partners: vec![portal] };
            let ready = |site: &Site| {
                let _ = writeln!(io::stdout().lock(), "reader at {}", site.origin());
            };
            serve(site, ready, move |request| reader.answer(request))?;
        }
        Command::Make { cards, number, label, pins, request } => {
            let cards = Cards::open(&cards)?;
            cards.make(&number, &label)?;
            let text = std::fs::read_to_string(&pins)?;
            let mut lines = text.lines();
            let pins =
                Pins::chosen(lines.next().unwrap_or_default(), lines.next().unwrap_or_default())?;
            cards.choose(&number, &pins)?;
            let made = cards.requests(&number, &pins)?;
            portal::files::replace(&request, made.authentication.as_bytes())?;
        }
    }
    Ok(())
}

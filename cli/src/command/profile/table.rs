//! `sigill profile table`: which policy states what, for relying parties.

use std::path::PathBuf;
use std::process::ExitCode;

use ca::table::page::{self, COLUMNS};
use clap::{Args, ValueEnum};

use super::source::book_of;
use crate::client::ClientError;
use crate::terminal::{self, Terminal};

/// Which table, and how it is printed.
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// The folder of profiles, with tables/policies.toml in it.
    folder: PathBuf,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = PageFormat::Text)]
    format: PageFormat,
}

/// The forms of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PageFormat {
    Text,
    Json,
    Markdown,
    Html,
}

impl Table {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let book = book_of(&self.folder)?;
        let rows: Vec<_> = book.table().rows().iter().map(page::cells).collect();
        let objects: Vec<_> = rows
            .iter()
            .map(|cells| {
                let named = COLUMNS.iter().zip(cells);
                named
                    .map(|(name, cell)| {
                        let value = Some(cell).filter(|cell| !cell.is_empty());
                        (
                            (*name).to_owned(),
                            value.map_or(serde_json::Value::Null, |cell| {
                                serde_json::Value::String(cell.clone())
                            }),
                        )
                    })
                    .collect::<serde_json::Map<_, _>>()
            })
            .collect();
        let terminal = match self.format {
            PageFormat::Json => Terminal::new(terminal::Format::Json),
            _ => terminal,
        };
        terminal.result(&objects, || match self.format {
            PageFormat::Markdown => lines(&page::markdown(book.table())),
            PageFormat::Html => lines(&page::html(book.table())),
            PageFormat::Text | PageFormat::Json => {
                let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
                terminal::table(&COLUMNS, &rows)
            }
        });
        Ok(ExitCode::SUCCESS)
    }
}

fn lines(page: &str) -> Vec<String> {
    page.lines().map(str::to_owned).collect()
}

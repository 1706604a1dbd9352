//! An inventory for people.

use std::fmt::Write as _;

use super::record::{ObjectRecord, Record};

const HEAD: [&str; 8] = [
    "KIND",
    "TYPE",
    "LABEL",
    "ID",
    "PUBLIC HALF",
    "PROOF",
    "USED BY",
    "SPKI OR CERTIFICATE SHA-256",
];

/// The record as a table, with what was found below it.
pub(crate) fn of(record: &Record) -> String {
    let mut text = String::new();
    let token = &record.token;
    let software = if token.software { ", software" } else { "" };
    // Writing to a String cannot fail.
    let _infallible = writeln!(
        text,
        "token   {} (serial {}): {} {}, firmware {}, hardware {}{software}\nmodule  {}\n",
        token.label,
        token.serial,
        token.manufacturer,
        token.model,
        token.firmware,
        token.hardware,
        record.module.description
    );
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(record.objects.iter().map(row));
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let lengths = rows.iter().filter_map(|row| row.get(column));
            lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _infallible = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    if !record.findings.is_empty() {
        text.push_str("\nunexpected:\n");
        for finding in &record.findings {
            let _infallible = writeln!(text, "  {}: {}", finding.code, finding.what);
        }
    }
    let differences = record.differences.as_deref().unwrap_or_default();
    if !differences.is_empty() {
        text.push_str("\nother than recorded:\n");
        for one in differences {
            let _infallible =
                writeln!(text, "  {}: {} was {:?}, is {:?}", one.of, one.what, one.was, one.is);
        }
    }
    let compared = match &record.differences {
        Some(differences) => format!(", {} other than recorded", differences.len()),
        None => String::new(),
    };
    let (objects, findings) = (record.objects.len(), record.findings.len());
    let _infallible = write!(text, "\n{objects} objects, {findings} unexpected{compared}");
    text
}

fn row(object: &ObjectRecord) -> [String; 8] {
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let used_by = match (object.used_by.is_empty(), &object.state) {
        (true, Some(state)) => format!("({state})"),
        _ => dash(&object.used_by.join(", ")),
    };
    let proof = object.proof.split(':').next().unwrap_or_default();
    [
        object.class.clone(),
        object.key_type.clone(),
        dash(&object.label),
        dash(&object.id),
        object.public_half.clone(),
        proof.to_owned(),
        used_by,
        dash(object.spki_sha256.as_deref().or(object.sha256.as_deref()).unwrap_or_default()),
    ]
}

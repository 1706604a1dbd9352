//! Outputs of a ceremony that are refused.

use std::fs;

use support::suite::Check;

use crate::World;
use crate::home::Home;
use crate::starts::{judge_with, row};

pub const CHECKS: &[Check<World>] = &[("refuses_outputs_of_another_ceremony", imports_are_refused)];

/// ENV-01: outputs of another deployment, or not those of the manifest.
fn imports_are_refused(world: &World) {
    let outputs = "ceremony/out/outputs.json";
    let edit = |from: String, to: &'static str| move |home: &Home| home.edit(outputs, &from, to);
    let quoted = |text: &str| format!("\"{text}\"");
    let ours = format!("test/demo/{}", world.template.instance);
    let rows = [
        row(
            "instance",
            "deployment-mismatch",
            edit(quoted(&world.template.instance), "\"zzzz\""),
            &[&ours, "test/demo/zzzz", "outputs.json"],
        ),
        row(
            "PKI",
            "deployment-mismatch",
            edit(quoted("demo"), "\"systemtest\""),
            &[&ours, "test/systemtest", "outputs.json"],
        ),
        row(
            "environment",
            "deployment-mismatch",
            |home| {
                home.edit(outputs, "\"test\"", "\"qa\"");
                home.edit(outputs, "\"demo\"", "\"test\"");
            },
            &[&ours, "qa/test", "outputs.json"],
        ),
        row(
            "format",
            "outputs-malformed",
            edit("outputs/1".to_owned(), "outputs/9"),
            &["outputs/9", "outputs.json"],
        ),
        row(
            "unknown field",
            "outputs-malformed",
            edit("\"format\"".to_owned(), "\"x\": 1, \"format\""),
            &["outputs.json"],
        ),
        row(
            "certificate",
            "outputs-hash",
            |home| {
                let folder = home.path("ceremony/out");
                fs::copy(
                    folder.join("sigilltesteidpersonid2cav1.cer"),
                    folder.join("sigilltesteidpersonid3cav1.cer"),
                )
                .expect("a copy");
            },
            &["sigilltesteidpersonid3cav1.cer", "SHA-256"],
        ),
        row(
            "CRL",
            "outputs-hash",
            |home| home.write("ceremony/out/sigilltesteidrootcav1.crl", "x"),
            &["sigilltesteidrootcav1.crl"],
        ),
        row(
            "missing",
            "outputs-unreadable",
            |home| fs::remove_file(home.path(outputs)).expect("removed"),
            &["outputs.json"],
        ),
    ];
    judge_with(world, &rows, Home::import);
}

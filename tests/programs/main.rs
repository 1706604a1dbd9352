//! What all programs have in common on the command line, asked of the programs themselves.

mod ceremony_plan;
mod pin_shares;
mod profile_diff;
mod profile_page;

use std::process::Command;

use support::{program, spoken, workspace};

const PROGRAMS: [&str; 5] =
    ["sigill", "sigill-ca", "sigill-ceremony", "sigill-ocsp", "sigill-verify"];

fn said(program: &str, words: &[String], option: &str) -> String {
    let said = spoken::run(Command::new(program::built(program)).args(words).arg(option), &[]);
    assert_eq!(said.code, 0, "{program} {words:?} {option}: {}", said.text);
    said.text
}

/// The subcommands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| !line.trim().is_empty());
    // What a name is told with may go on in a line that is indented further.
    let named = listed.filter_map(|line| line.strip_prefix("  "));
    let names = named.filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_help_has_an_example_of_its_program() {
    let mut asked = 0;
    let mut wrong = Vec::new();
    for program in PROGRAMS {
        let mut open: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(words) = open.pop() {
            let help = said(program, &words, "--help");
            asked += 1;
            let example = help.split_once("\nExample").map(|(_, example)| example);
            if !example.is_some_and(|example| example.contains(program)) {
                wrong.push(format!("{program} {}", words.join(" ")));
            }
            open.extend(commands(&help).into_iter().map(|name| [&words[..], &[name]].concat()));
        }
    }
    println!("{asked} help texts");
    assert!(asked > 15 && wrong.is_empty(), "{asked} asked, without an example: {wrong:?}");
}

#[test]
fn every_version_begins_with_the_name_of_its_program() {
    for program in PROGRAMS {
        let version = said(program, &[], "--version");

        assert!(version.starts_with(&format!("{program} ")), "{program}: {version}");
    }
}

#[test]
fn a_demo_that_finds_no_plan_says_how_to_name_it_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hierarchy = workspace::root().join("environments/demo/hierarchy.toml");
    let named = ["--hierarchy", hierarchy.to_str().unwrap()];
    for (given, lacks) in [(&named[..0], "--hierarchy"), (&named[..], "--profiles")] {
        let mut command = Command::new(program::built("sigill-ceremony"));
        command.args(["demo", "--home", "home"]).args(given).current_dir(&folder);
        let said = spoken::run(&mut command, &[]);

        assert_eq!(said.code, 1, "{}", said.text);
        assert!(said.text.contains(lacks), "{}", said.text);
        assert!(!folder.path().join("home").exists(), "{}", said.text);
    }
}

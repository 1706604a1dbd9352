//! The table of event codes in docs/formats/audit-leaf.md.

use ca::audit::EventCode;
use support::workspace::root;

/// The page lists exactly the events that there are, by their numbers and names.
#[test]
fn the_page_lists_every_event() {
    let page = std::fs::read_to_string(root().join("docs/formats/audit-leaf.md")).unwrap();
    let rows: Vec<(u16, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| 0x"))
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let number = u16::from_str_radix(cells.next().unwrap(), 16).unwrap();
            (number, cells.next().unwrap())
        })
        .collect();

    let events: Vec<(u16, &str)> =
        EventCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
    assert_eq!(rows, events);
}

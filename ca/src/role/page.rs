//! The table as people read it: docs/roles.md, and what `sigill roles` prints.

use super::{Reach, Role};
use crate::operation::{Business, Operation};
use crate::routine::OrdererRole;

const HEAD: &str = "\
# What administrators may do

This page is written by `sigill roles --markdown` from the table that decides (`ca::role`); a test fails when they differ. A statement of an administrator claims a role, and the organisation that it is on
([the format](formats/actor-statement.md)); what has no `x` here is refused (403 `actor-role-refused`), and so is what is in no row. The first eleven are the portal's roles, the last four the CA's own.

Who has which role, the portal says, or the identity provider that signs. A role on an organisation covers what lies under it and nothing above or beside: the call is then held to it as one of a client that is limited to it. What tells
of serial numbers, whosever they are, is for the roles that reach everywhere. *Sekretess* is added to another role and may nothing by itself: without it protected persons are not there, and the calls of
`/v1/protected-persons` are refused in every role. A holder without a role orders for himself, and nothing else.

A client's own business (its renewal, what a vantage point asks and sends) needs nobody. What the client itself may do, its configuration says, and both must agree.
";

const ORDERERS: [OrdererRole; 4] = [
    OrdererRole::IdAdministrator,
    OrdererRole::ReserveCardAdministrator2,
    OrdererRole::ReserveCardAdministrator3,
    OrdererRole::ResponsibleIssuer,
];

/// What the tables of the page allow, a line for each cell that does: no word around them makes it another.
#[must_use]
pub fn allowed() -> String {
    let mut lines = String::new();
    for role in Role::ALL {
        for operation in Operation::ALL.iter().filter(|one| role.may(**one)) {
            lines.push_str(&format!("{role} {}\n", operation.id()));
        }
        for orderer in ORDERERS.iter().filter(|one| role.orders_as(**one)) {
            lines.push_str(&format!("{role} orders {orderer}\n"));
        }
        if role.orders_functions() {
            lines.push_str(&format!("{role} orders functions\n"));
        }
    }
    lines
}

/// The page, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str(
        "\n## The roles\n\n| | role | på svenska | reaches |\n| --- | --- | --- | --- |\n",
    );
    for (number, role) in (1..).zip(Role::ALL) {
        let reach = match role.reach() {
            Reach::Global => "everywhere",
            Reach::Organisation => "an organisation and what lies under it",
            Reach::Inherited => "as the role that it is added to",
        };
        page.push_str(&format!("| {number} | {role} | {} | {reach} |\n", role.swedish()));
    }
    page.push_str("\n## Calls\n\n");
    let numbers: Vec<String> = (1..=Role::ALL.len()).map(|number| number.to_string()).collect();
    line(&mut page, "call", &numbers);
    line(&mut page, "---", &vec!["---".to_owned(); Role::ALL.len()]);
    for operation in Operation::ALL.iter().filter(|one| one.business() != Business::Own) {
        let name = format!("`{} {}`", operation.method(), operation.path());
        line(&mut page, &name, &cells(|role| role.may(*operation)));
    }
    page.push_str("\n## Orders\n\nIn which role of a routine (`orderer`) they order for persons, and whether for functions.\n\n");
    line(&mut page, "order", &numbers);
    line(&mut page, "---", &vec!["---".to_owned(); Role::ALL.len()]);
    for orderer in ORDERERS {
        line(&mut page, &orderer.to_string(), &cells(|role| role.orders_as(orderer)));
    }
    line(&mut page, "functions", &cells(Role::orders_functions));
    page
}

fn cells(may: impl Fn(Role) -> bool) -> Vec<String> {
    let cell = |role: &Role| if may(*role) { "x" } else { "" }.to_owned();
    Role::ALL.iter().map(cell).collect()
}

fn line(page: &mut String, first: &str, cells: &[String]) {
    page.push_str(&format!("| {first} | {} |\n", cells.join(" | ")));
}

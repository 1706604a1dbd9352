//! The policy table as relying parties read it: text, Markdown and HTML.

use super::{PolicyTable, Row};

/// The columns, in their order.
pub const COLUMNS: [&str; 9] =
    ["policy", "level", "profile", "issuer", "carrier", "identity", "routine", "from", "to"];

/// The cells of a row, under [`COLUMNS`]; empty where the row says nothing.
#[must_use]
pub fn cells(row: &Row) -> [String; COLUMNS.len()] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let tuple = &row.tuple;
    [
        row.policy.to_string(),
        text(tuple.level),
        tuple.profile.to_string(),
        tuple.issuer.to_string(),
        text(tuple.carrier),
        text(tuple.identity.as_ref()),
        text(tuple.routine.as_ref()),
        row.days.from.to_string(),
        text(row.days.until),
    ]
}

/// The table in Markdown, with a head line.
#[must_use]
pub fn markdown(table: &PolicyTable) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut page = line(&COLUMNS);
    page.push_str(&line(&["---"; COLUMNS.len()]));
    for row in table.rows() {
        let cells = cells(row);
        page.push_str(&line(&cells.each_ref().map(String::as_str)));
    }
    page
}

/// The table as an HTML `table`, to be put into a page.
#[must_use]
pub fn html(table: &PolicyTable) -> String {
    let line = |element: &str, cells: &[&str]| {
        let cells = cells.iter().map(|cell| format!("<{element}>{}</{element}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let mut page = String::from("<table>\n<thead>\n");
    page.push_str(&line("th", &COLUMNS));
    page.push_str("</thead>\n<tbody>\n");
    for row in table.rows() {
        let cells = cells(row);
        page.push_str(&line("td", &cells.each_ref().map(String::as_str)));
    }
    page.push_str("</tbody>\n</table>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        version = 1
        [[row]]
        policy   = "1.3.6.1.4.1.32473.1.3.1"
        profile  = "person-hsaid-3-authentication"
        issuer   = "person-hsaid-3"
        carrier  = "ordinary-card"
        identity = "personnummer"
        level    = "loa3"
        routine  = "office-visit"
        from     = 2024-01-25
        to       = 2027-12-31
        [[row]]
        policy  = "1.2.752.74.8.650"
        profile = "function"
        issuer  = "function"
        from    = 2024-01-25
    "#;

    #[test]
    fn every_row_stands_on_the_page_in_the_order_of_the_file() {
        let table = PolicyTable::parse(TABLE.as_bytes()).unwrap();

        let markdown = markdown(&table);
        let html = html(&table);

        assert_eq!(
            markdown,
            "| policy | level | profile | issuer | carrier | identity | routine | from | to |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
             | 1.3.6.1.4.1.32473.1.3.1 | loa3 | person-hsaid-3-authentication | person-hsaid-3 \
             | ordinary-card | personnummer | office-visit | 2024-01-25 | 2027-12-31 |\n\
             | 1.2.752.74.8.650 |  | function | function |  |  |  | 2024-01-25 |  |\n"
        );
        assert_eq!(html.matches("<tr>").count(), 3);
        assert!(html.contains("<td>1.2.752.74.8.650</td><td></td><td>function</td>"), "{html}");
        assert_eq!(escaped("<a & b>"), "&lt;a &amp; b&gt;");
    }
}

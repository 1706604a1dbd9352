//! The report as HTML: no script, no picture, no other file. What comes from a bundle goes through [`escaped`], and through nothing else.

use std::fmt::Write as _;

use ceremony_core::script::Language;

/// Black on white, on A4, tables that break between their rows; what must be seen is framed and bold, for printers without colour too.
const STYLE: &str = "\
@page{size:A4;margin:18mm 16mm}\
body{font:10pt/1.4 sans-serif;color:#000;background:#fff;margin:0 auto;max-width:178mm}\
h1{font-size:17pt;margin:0 0 3mm}h2{font-size:12.5pt;margin:7mm 0 2mm;break-after:avoid}\
p{margin:0 0 2mm}section{break-inside:auto}\
.first{break-after:page}\
.warning{border:2px solid #a00;padding:3mm;margin:0 0 4mm;font-weight:bold;color:#a00}.warning p{margin:0 0 1mm}\
table{border-collapse:collapse;width:100%;margin:0 0 3mm}\
th,td{border:1px solid #999;padding:1mm 1.5mm;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th,td:first-child{overflow-wrap:normal}\
th{background:#eee}thead{display:table-header-group}tr{break-inside:avoid}\
.line{border-bottom:1px solid #000;min-height:12mm;margin:0 0 3mm;break-inside:avoid}\
footer{font-size:8.5pt;margin-top:6mm}";

/// A document that is being written.
pub(super) struct Document {
    out: String,
}

impl Document {
    pub(super) fn new(language: Language, title: &str) -> Self {
        let mut out = String::from("<!DOCTYPE html>\n");
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            language.tag(),
            escaped(title)
        );
        Self { out }
    }

    /// The first page: what stands in it is on one sheet.
    pub(super) fn first(&mut self, title: &str, warnings: &[String]) {
        let _ = writeln!(self.out, "<section class=\"first\">\n<h1>{}</h1>", escaped(title));
        if warnings.is_empty() {
            return;
        }
        self.out.push_str("<div class=\"warning\">\n");
        for line in warnings {
            self.paragraph(line);
        }
        self.out.push_str("</div>\n");
    }

    pub(super) fn end_section(&mut self) {
        self.out.push_str("</section>\n");
    }

    pub(super) fn section(&mut self, heading: &str) {
        let _ = writeln!(self.out, "<section>\n<h2>{}</h2>", escaped(heading));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.out, "<p>{}</p>", escaped(text));
    }

    /// Names and values, one a row.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        self.out.push_str("<table>\n");
        for (name, value) in facts {
            let _ = writeln!(
                self.out,
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
                escaped(name),
                escaped(value)
            );
        }
        self.out.push_str("</table>\n");
    }

    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let cells = |cells: &[String], tag: &str| {
            let cell = |text: &String| format!("<{tag}>{}</{tag}>", escaped(text));
            cells.iter().map(cell).collect::<String>()
        };
        let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
        let _ =
            writeln!(self.out, "<table>\n<thead><tr>{}</tr></thead>\n<tbody>", cells(&heads, "th"));
        for row in rows {
            let _ = writeln!(self.out, "<tr>{}</tr>", cells(row, "td"));
        }
        self.out.push_str("</tbody>\n</table>\n");
    }

    /// A line that is signed with a pen.
    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "<div class=\"line\">{}</div>", escaped(text));
    }

    pub(super) fn end(mut self, foot: &str) -> String {
        let _ = writeln!(self.out, "<footer>{}</footer>\n</body>\n</html>", escaped(foot));
        self.out
    }
}

/// Markup in a bundle stays text; a character that no document may have is named by its number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What turns the order of what is read around, or is not seen, is shown as what it is.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_bundle_stays_text() {
        for (hostile, shown) in [
            ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("&amp;", "&amp;amp;"),
            ("a\u{202e}b\u{0}c\n", "a[U+202E]b[U+0000]c[U+000A]"),
            ("Åsa Öberg", "Åsa Öberg"),
        ] {
            assert_eq!(escaped(hostile), shown);
        }
        let mut document = Document::new(Language::Swedish, "</title><b>");
        document.first("<b>", &["<i>".to_owned()]);
        document.facts(&[("<u>", "<s>".to_owned())]);
        document.table(&["<q>"], &[vec!["<em>".to_owned()]]);
        document.line("<a>");
        document.end_section();
        let html = document.end("<p>");
        for tag in ["<b>", "<i>", "<u>", "<s>", "<q>", "<em>", "<a>", "</title><b>"] {
            assert!(!html.contains(tag), "{tag}");
        }
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"sv\">"));
    }
}

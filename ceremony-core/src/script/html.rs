//! The script as HTML: no script, no picture, no other file.

use std::fmt::Write as _;

use super::{Item, Page, Script};

/// Black on white, one page a sheet, boxes that a pen can tick.
const STYLE: &str = "\
@page{size:A4;margin:18mm 16mm}\
body{font:11pt/1.4 sans-serif;color:#000;background:#fff;margin:0 auto;max-width:178mm}\
section{break-after:page;padding:4mm 0;border-bottom:1px solid #999}\
section:last-of-type{break-after:auto}\
h1{font-size:16pt;margin:0 0 4mm}h2{font-size:12pt;margin:5mm 0 2mm}\
p{margin:0 0 2mm}dl{margin:0}dt{font-weight:bold;float:left;clear:left;margin-right:3mm}dd{margin:0 0 1mm;overflow-wrap:anywhere}\
pre{font:12pt/1.5 monospace;margin:2mm 0 3mm 6mm;white-space:pre-wrap}\
.tick{display:flex;gap:3mm;margin:0 0 2.5mm;break-inside:avoid}\
.tick span{flex:none;width:4.5mm;height:4.5mm;border:1.2px solid #000;margin-top:.4mm}\
.write{border-bottom:1px solid #000;min-height:9mm;margin:0 0 2mm;break-inside:avoid}\
footer{font-size:8.5pt;margin-top:5mm}\
@media print{section{border:0;padding:0}}";

pub(super) fn of(script: &Script) -> String {
    let title = script.pages.first().map_or("", |page| page.title.as_str());
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        script.language.tag(),
        escaped(title)
    );
    let pages = script.pages.len();
    let word = script.language.pick("sida", "page");
    for (number, page) in (1..).zip(&script.pages) {
        out.push_str("<section>\n");
        of_page(&mut out, page);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<footer>{} · {word} {number}/{pages}</footer>\n</section>",
            escaped(&script.foot)
        );
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn of_page(out: &mut String, page: &Page) {
    let _ = writeln!(out, "<h1>{}</h1>", escaped(&page.title));
    for item in &page.items {
        let _ = match item {
            Item::Text(text) => writeln!(out, "<p>{}</p>", escaped(text)),
            Item::Heading(text) => writeln!(out, "<h2>{}</h2>", escaped(text)),
            Item::Fact(name, value) => {
                writeln!(out, "<dl><dt>{}</dt><dd>{}</dd></dl>", escaped(name), escaped(value))
            }
            Item::Mono(lines) => writeln!(out, "<pre>{}</pre>", escaped(&lines.join("\n"))),
            Item::Tick(text) => {
                writeln!(out, "<div class=\"tick\"><span></span><div>{}</div></div>", escaped(text))
            }
            Item::Write(text) => writeln!(out, "<div class=\"write\">{}</div>", escaped(text)),
        };
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_plan_stays_text() {
        assert_eq!(escaped("<b>\"a\" & b</b>"), "&lt;b&gt;&quot;a&quot; &amp; b&lt;/b&gt;");
    }
}

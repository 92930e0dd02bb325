//! Pages: self-contained, without scripts, made to be printed. Text of others goes through `html_text`.

use crate::report::format::{html_text, rounded, thousands};

/// What a browser may load: nothing. The style is in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "
@page { size: A4; margin: 14mm 15mm 16mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 760px; color: #1d2733; background: #fff;
  font: 13px/1.45 system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; }
header { border-bottom: 2px solid #1d2733; padding-bottom: 10px; margin-bottom: 14px; }
h1 { font-size: 22px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 14px; margin: 22px 0 6px; break-after: avoid; }
p { margin: 4px 0; }
.sub, footer, .note { color: #55616f; }
.badge { display: inline-block; padding: 1px 8px; border-radius: 9px; font-size: 12px; font-weight: 600;
  background: #fdeccb; color: #74480a; }
.badge.sealed { background: #d9f0df; color: #175c2e; }
.cards { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0 4px; }
.card { flex: 1 1 130px; border: 1px solid #ccd4dd; border-radius: 6px; padding: 8px 12px; break-inside: avoid; }
.card b { display: block; font-size: 20px; line-height: 1.3; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { text-align: left; padding: 4px 8px 4px 0; border-bottom: 1px solid #e3e8ed; vertical-align: top;
  overflow-wrap: anywhere; }
th { font-size: 11.5px; color: #55616f; font-weight: 600; border-bottom-color: #9aa6b2; }
th.n, td.n { text-align: right; padding: 4px 0 4px 10px; white-space: nowrap; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
tr.sum td { font-weight: 600; border-top: 1px solid #9aa6b2; }
td.bar { width: 90px; padding: 7px 0 0 10px; }
svg { display: block; width: 100%; }
svg text { font-size: 10px; fill: #55616f; }
.fill { fill: #3b6fb0; }
.below { fill: #b0563b; }
.grid { stroke: #dfe5ea; }
.axis { stroke: #9aa6b2; }
.keep { break-inside: avoid; }
figure { margin: 0 0 8px; break-inside: avoid; }
.box { border: 1px solid #ccd4dd; border-radius: 6px; padding: 2px 12px 8px; margin-top: 22px; }
.box h2 { margin-top: 8px; }
.box table tr:last-child td { border-bottom: 0; }
.box td:first-child { width: 55%; }
.box td.n { white-space: normal; }
footer { margin-top: 18px; border-top: 1px solid #ccd4dd; padding-top: 8px; font-size: 11px; overflow-wrap: anywhere; }
a { color: inherit; }
@media print { body { padding: 0; max-width: none; font-size: 11px; } h2 { font-size: 12.5px; margin-top: 16px; }
  th, td, th.n, td.n { padding-top: 2.5px; padding-bottom: 2.5px; } td.bar { padding-top: 5px; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
";

/// A whole page; the title is text, the body markup.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = html_text(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// A cell of a table: markup, and how it stands.
pub(super) enum Cell {
    Text(String),
    Number(String),
    Bar(String),
}

impl Cell {
    fn html(&self, tag: &str) -> String {
        let (class, markup) = match self {
            Cell::Text(markup) => ("", markup),
            Cell::Number(markup) => (" class=\"n\"", markup),
            Cell::Bar(markup) => (" class=\"bar\"", markup),
        };
        format!("<{tag}{class}>{markup}</{tag}>")
    }
}

/// A table with a heading and, if there is one, a last row of sums.
pub(super) fn table(head: &[Cell], rows: &[Vec<Cell>], sum: Option<&[Cell]>) -> String {
    let row = |cells: &[Cell], tag: &str| cells.iter().map(|cell| cell.html(tag)).collect::<String>();
    let mut out = format!("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n", row(head, "th"));
    for cells in rows {
        out.push_str(&format!("<tr>{}</tr>\n", row(cells, "td")));
    }
    if let Some(cells) = sum {
        out.push_str(&format!("<tr class=\"sum\">{}</tr>\n", row(cells, "td")));
    }
    out.push_str("</tbody>\n</table>\n");
    out
}

/// An amount with two digits; a dash if there is none.
pub(super) fn money(pico: Option<i128>) -> String {
    pico.map_or_else(|| "–".to_string(), |pico| html_text(&rounded(pico, 2)))
}

/// A whole number, in corrections also below 0.
pub(super) fn count(n: i128) -> String {
    let sign = if n < 0 { "-" } else { "" };
    let abs = n.unsigned_abs();
    format!("{sign}{}", u64::try_from(abs).map_or_else(|_| abs.to_string(), thousands))
}

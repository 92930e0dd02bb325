//! Charts as inline SVG, in whole numbers.

use crate::model::Day;
use std::fmt::Write;

const WIDTH: i128 = 720;
const HEIGHT: i128 = 150;
const LEFT: i128 = 64;
const TOP: i128 = 8;

/// Columns by day; the label is markup, and `show` writes a value of the axis.
pub(super) fn days(label: &str, days: &[(Day, Option<i128>)], show: fn(Option<i128>) -> String) -> String {
    let values = || days.iter().filter_map(|(_, value)| *value);
    let (most, least) = (values().max().unwrap_or(0).max(0), values().min().unwrap_or(0).min(0));
    let span = (most - least).max(1);
    let y = |value: i128| TOP + scaled(most - value, HEIGHT, span);
    let n = i128::try_from(days.len()).unwrap_or(0).max(1);
    let step = (WIDTH - LEFT) / n;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{label}\">\n", TOP + HEIGHT + 22);
    // Writing to a string cannot fail.
    let mut lines = vec![most, least + span / 2, least, 0];
    lines.sort_unstable();
    lines.dedup();
    for value in lines {
        let (y, class) = (y(value), if value == 0 { "axis" } else { "grid" });
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\"/>");
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 6, y + 3, show(Some(value)));
    }
    for (i, (day, value)) in (0..).zip(days) {
        let x = LEFT + i * step;
        if let Some(value) = value.filter(|value| *value != 0) {
            let (top, bottom) = (y(value.max(0)), y(value.min(0)));
            let (height, class) = ((bottom - top).max(1), if value < 0 { "below" } else { "fill" });
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"><title>{day}: {}</title></rect>",
                x + 3,
                bottom - height,
                (step - 6).max(1),
                show(Some(value))
            );
        }
        let text = day.to_string();
        let (x, y) = (x + step / 2, TOP + HEIGHT + 16);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", &text[8..]);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A bar for one of several values of which the longest is `most`.
pub(super) fn bar(value: Option<i128>, most: i128) -> String {
    let value = value.unwrap_or(0);
    let width = scaled(value.abs(), 1000, most.max(1)).max(i128::from(value != 0));
    let class = if value < 0 { "below" } else { "fill" };
    let rect = format!("<rect class=\"{class}\" x=\"0\" y=\"0\" width=\"{width}\" height=\"10\"/>");
    let shown = if value == 0 { "" } else { rect.as_str() };
    format!("<svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" height=\"9\" aria-hidden=\"true\">{shown}</svg>")
}

/// `value * to / of`, of any length.
fn scaled(value: i128, to: i128, of: i128) -> i128 {
    value.checked_mul(to).map_or_else(|| value / (of / to).max(1), |product| product / of)
}

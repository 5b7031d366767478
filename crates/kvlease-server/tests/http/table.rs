//! Tables of the documentation, as tests compare them with the daemon.

/// The rows of the Markdown table that stands under the heading `heading`: its cells, without
/// the marks of code. The head of the table is left out.
pub(crate) fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = document.split(&format!("\n{heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows: Vec<_> = table.take_while(|line| line.starts_with('|')).skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}

fn cells(line: &str) -> Vec<String> {
    let inside = line.trim().trim_matches('|');
    inside.split(" | ").map(|cell| plain(cell.trim()).to_owned()).collect()
}

/// A cell that is code as a whole, without its marks.
fn plain(cell: &str) -> &str {
    let inside = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inside.filter(|inside| !inside.contains('`')).unwrap_or(cell)
}

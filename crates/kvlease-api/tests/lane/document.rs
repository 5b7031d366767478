//! docs/fast-lane.md names what the frames hold.

use kvlease_api::lane::{
    ANSWER_LEN_MAX, DoneStatus, EXTENTS_MAX, FRAME_LEN_MAX, FailureCode, KEYS_MAX, Kind,
    LeaseStatus, ReserveStatus,
};

use crate::golden::file;

const DOCUMENT: &str = include_str!("../../../../docs/fast-lane.md");

/// Number and name of each row of the table under a heading.
fn rows(heading: &str) -> Vec<(String, String)> {
    let section = DOCUMENT.split(&format!("\n### {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
        (cells.next().unwrap().to_owned(), cells.next().unwrap().to_owned())
    })
    .collect()
}

fn listed<'a>(numbered: impl Iterator<Item = (u16, &'a str)>) -> Vec<(String, String)> {
    numbered.map(|(number, name)| (number.to_string(), name.to_owned())).collect()
}

#[test]
fn the_tables_of_numbers_are_those_of_the_code() {
    let kinds = Kind::ALL.iter().map(|kind| (kind.number(), kind.name()));
    assert_eq!(rows("Kinds"), listed(kinds));
    let codes = FailureCode::ALL.iter().map(|code| (code.number(), code.name()));
    assert_eq!(rows("Codes of an ERROR"), listed(codes));
    let statuses = LeaseStatus::ALL.iter().map(|status| (status.number().into(), status.name()));
    assert_eq!(rows("Statuses of LEASES"), listed(statuses));
    let statuses = ReserveStatus::ALL.iter().map(|status| (status.number().into(), status.name()));
    assert_eq!(rows("Statuses of RESERVATIONS"), listed(statuses));
    let statuses = DoneStatus::ALL.iter().map(|status| (status.number().into(), status.name()));
    assert_eq!(rows("Statuses of DONE and RENEWED"), listed(statuses));
}

#[test]
fn the_frames_in_hexadecimal_are_the_golden_ones() {
    let blocks: Vec<_> = DOCUMENT.split("```hex\n# ").skip(1).collect();
    for block in &blocks {
        let (name, text) = block.split_once('\n').unwrap();
        let kind = Kind::ALL.iter().find(|kind| kind.name().eq_ignore_ascii_case(name)).unwrap();
        let text = text.split("```").next().unwrap();
        assert_eq!(text, file(*kind), "{name}");
    }
    assert_eq!(blocks.len(), 6);
}

#[test]
fn the_codes_that_end_a_connection_are_marked() {
    for code in FailureCode::ALL {
        let marker = format!("| `{}` |", code.name());
        let row = DOCUMENT.lines().find(|line| line.contains(&marker)).unwrap();
        assert_eq!(row.contains("| yes |"), code.closes(), "{row}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let limits = [
        ("FRAME_LEN_MAX", FRAME_LEN_MAX),
        ("ANSWER_LEN_MAX", ANSWER_LEN_MAX),
        ("KEYS_MAX", KEYS_MAX),
        ("EXTENTS_MAX", EXTENTS_MAX),
    ];
    for (name, value) in limits {
        let row = DOCUMENT.lines().find(|line| line.contains(&format!("`{name}`"))).unwrap();
        let digits: String =
            row.split('|').nth(2).unwrap().chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, value.to_string(), "{row}");
    }
}

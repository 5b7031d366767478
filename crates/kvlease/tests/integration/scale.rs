//! `bench --scale`: that every point is measured, printed and drawn. Not its figures.

use std::{collections::BTreeMap, fs, path::Path};

use quick_xml::{Reader, events::Event};
use serde_json::Value;

use crate::program::run;

/// A sweep of seconds.
const TINY: [&str; 12] = [
    "bench",
    "--scale",
    "--objects",
    "100,1000",
    "--clients",
    "1,2",
    "--connections",
    "2,20",
    "--sizes",
    "1KiB,64KiB",
    "--rounds",
    "1",
];

/// The curves of each figure. All of them have two points.
const FIGURES: [(&str, &[&str]); 8] = [
    (
        "scale-objects",
        &[
            "exists, index",
            "get 1 KiB, index",
            "acquire+release, 128",
            "get 1 KiB, asked",
            "list",
            "put, 128 a batch",
            "put that evicts, 128",
        ],
    ),
    (
        "scale-memory",
        &["arena", "catalog, by its account", "daemon's own memory", "manifest and index"],
    ),
    ("scale-start", &["start with the objects"]),
    ("scale-processes", &["get, index", "get, asked", "put"]),
    ("scale-connections", &["get, asked", "put"]),
    ("scale-connection-memory", &["daemon's own memory"]),
    ("scale-sizes", &["get, asked", "get, index", "first get, index", "put"]),
    ("scale-times", &["get, asked", "get, index", "first get, index", "put"]),
];

#[test]
fn a_sweep_measures_prints_and_draws_every_point() {
    let dir = tempfile::tempdir().unwrap();
    let drawn = dir.path().join("drawn");
    let args = [&TINY[..], &["--json", "--plot", drawn.to_str().unwrap()]].concat();
    let output = run(&args, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["left_out"], Value::Array(Vec::new()), "{report}");
    let figures = report["figures"].as_array().unwrap();
    let measured: BTreeMap<&str, Vec<&str>> = figures.iter().map(curves).collect();
    let expected = FIGURES.map(|(name, curves)| (name, curves.to_vec()));
    assert_eq!(measured, BTreeMap::from(expected));
    for (name, curves) in FIGURES {
        let points = curves.len() * 2;
        svg_with(&drawn.join(format!("{name}.svg")), points);
        png_with_colours(&drawn.join(format!("{name}.png")));
    }
    assert_eq!(fs::read_dir(&drawn).unwrap().count(), 2 * FIGURES.len());
}

/// Name of a figure, and those of its curves, each of which has two points.
fn curves(figure: &Value) -> (&str, Vec<&str>) {
    let curves = figure["series"].as_array().unwrap().iter().map(|series| {
        let points = series["points"].as_array().unwrap();
        assert_eq!(points.len(), 2, "{figure}");
        for point in points {
            assert!(point[0].as_f64().unwrap() > 0.0, "{figure}");
            assert!(point[1].as_f64().unwrap() >= 0.0, "{figure}");
        }
        series["name"].as_str().unwrap()
    });
    (figure["name"].as_str().unwrap(), curves.collect())
}

/// The drawing is well-formed, and has a mark for each point that is above zero.
fn svg_with(path: &Path, points: usize) {
    let text = fs::read_to_string(path).unwrap();
    let mut reader = Reader::from_str(&text);
    let (mut marks, mut words, mut depth) = (0, 0, 0);
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error} in {text}")) {
            Event::Eof => break,
            Event::Empty(tag) => marks += usize::from(tag.name().as_ref() == b"circle"),
            Event::Start(tag) => {
                depth += 1;
                words += usize::from(tag.name().as_ref() == b"text");
            }
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "an element has no end: {text}");
    // Small sweeps may find no growth of the memory.
    let least = if path.to_string_lossy().contains("memory") { 1 } else { points };
    assert!((least..=points).contains(&marks), "{marks} of {points} in {}", path.display());
    // The title, the names, and a place on an axis: a small range has no more.
    assert!(words > 3, "{words} in {text}");
}

/// The drawing can be decoded, and is no empty sheet.
fn png_with_colours(path: &Path) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert!(info.width >= 600 && info.height >= 400, "{info:?}");
    let coloured = pixels.chunks_exact(3).filter(|pixel| pixel[0] != pixel[1]);
    assert!(coloured.count() > 100, "{}", path.display());
}

#[test]
fn what_a_machine_has_no_memory_for_is_left_out_by_name() {
    let args = ["bench", "--scale", "--rounds", "1", "--clients", "1", "--connections", "1"];
    let rest = ["--objects", "1000000000", "--sizes", "1KiB"];
    let output = run(&[&args[..], &rest].concat(), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Left out: 1000000000 objects, which take "), "{text}");
    assert!(text.contains("processes"), "{text}");
}

#[test]
fn a_sweep_takes_no_daemon_of_others() {
    let output = run(&[&["--url", "http://127.0.0.1:1"], &TINY[..]].concat(), b"");
    assert_eq!(output.status.code(), Some(64));
}

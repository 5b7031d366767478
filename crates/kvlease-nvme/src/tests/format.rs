//! The blocks are those of the golden files, and docs/nvme-tier.md describes them.

use std::fmt::Write;

use kvlease_sys::Digest;

use crate::{
    fingerprint::Secret,
    format::{
        BLOCK, SEGMENTS_AT, VERSIONS,
        index_table::{self, Entry, Footer},
        record::{
            self, Header, KIND_OBJECT, KIND_TOMBSTONES, Position, TOMBSTONES_MAX,
            decode_tombstones, encode_tombstones,
        },
        segment_header,
        superblock::{self, Found, Superblock},
    },
    geometry::{CAPACITY_MIN, SEGMENT_LEN_MAX, SEGMENT_LEN_MIN, SEGMENTS_MIN},
};

const DOCUMENT: &str = include_str!("../../../../docs/nvme-tier.md");

const SECRET: Secret = Secret::new(*b"0123456789abcdef");

const POSITION: Position = Position { sequence: 7, block: 2 };

const GOLDEN: [(&str, &str); 6] = [
    ("superblock", include_str!("golden/superblock.hex")),
    ("segment header", include_str!("golden/segment_header.hex")),
    ("object", include_str!("golden/object.hex")),
    ("tombstones", include_str!("golden/tombstones.hex")),
    ("index table", include_str!("golden/index_table.hex")),
    ("index footer", include_str!("golden/index_footer.hex")),
];

fn golden(name: &str) -> &'static str {
    GOLDEN.iter().find(|(golden, _)| *golden == name).unwrap().1
}

/// Bytes in hexadecimal, without the zeros at their end.
fn hex(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut text = String::new();
    for line in bytes[..end].chunks(16) {
        let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", line.join(" ")).unwrap();
    }
    text
}

/// Block of which the golden file has the start.
fn block(name: &str) -> Vec<u8> {
    let bytes = golden(name).split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
    let mut block: Vec<u8> = bytes.collect();
    block.resize(BLOCK, 0);
    block
}

fn superblock() -> Superblock {
    let store = *b"store of a test.";
    Superblock { segment_len: 64 << 20, segments: 15, store, secret: SECRET }
}

fn header(kind: u8, names: (&'static str, &'static str), bytes: &[u8]) -> Header<'static> {
    let checksum = Digest::of(bytes).xxh3_64();
    let (bucket, key) = names;
    Header { position: POSITION, kind, bucket, key, len: bytes.len() as u64, checksum }
}

fn record(header: &Header<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    header.encode(&SECRET, &mut block);
    block[header.layout().data_at..][..bytes.len()].copy_from_slice(bytes);
    block
}

fn entries() -> [Entry; 2] {
    let entry = |key, block, kind| Entry {
        fingerprint: SECRET.fingerprint("bucket", key),
        checksum: if kind == KIND_OBJECT { Digest::of(b"value").xxh3_64() } else { 0 },
        len: if kind == KIND_OBJECT { 5 } else { 0 },
        block,
        kind,
    };
    [entry("key", 2, KIND_OBJECT), entry("gone", 3, KIND_TOMBSTONES)]
}

#[test]
fn superblocks_and_segment_headers_are_the_golden_ones() {
    let mut bytes = vec![0xff; BLOCK];
    superblock().encode(&mut bytes);
    assert_eq!(hex(&bytes), golden("superblock"));
    assert_eq!(Superblock::decode(&block("superblock")), Found::Superblock(superblock()));
    segment_header::encode(&SECRET, 3, 7, &mut bytes);
    assert_eq!(hex(&bytes), golden("segment header"));
    assert_eq!(segment_header::decode(&SECRET, 3, &block("segment header")), Some(7));
    assert_eq!(segment_header::decode(&SECRET, 4, &block("segment header")), None);
}

#[test]
fn a_file_with_longer_segments_is_of_version_2() {
    for (segment_len, version) in [(256 << 20, 1), ((256 << 20) + 4096, 2)] {
        let superblock = Superblock { segment_len, ..superblock() };
        let mut bytes = vec![0; BLOCK];
        superblock.encode(&mut bytes);
        assert_eq!(bytes[8..12], [version, 0, 0, 0]);
        assert_eq!(Superblock::decode(&bytes), Found::Superblock(superblock));
    }
    let mut table = vec![0; BLOCK];
    let far = entries().map(|entry| Entry { block: entry.block + (3 << 16), ..entry });
    index_table::encode(&SECRET, 7, &far, &mut table);
    assert_eq!(table[28..32], [2, 0, KIND_OBJECT, 3], "the highest bits are behind the kind");
    assert_eq!(Footer::decode(&SECRET, &table).unwrap().entries(&table).unwrap(), far);
}

#[test]
fn records_are_the_golden_ones() {
    let object = header(KIND_OBJECT, ("bucket", "key"), b"value");
    assert_eq!(hex(&record(&object, b"value")), golden("object"));
    assert_eq!(Header::decode(&SECRET, POSITION, &block("object")), Some(object));
    let fingerprints = ["gone", "too"].map(|key| SECRET.fingerprint("bucket", key));
    let bytes = encode_tombstones(&fingerprints);
    let tombstones = header(KIND_TOMBSTONES, ("", ""), &bytes);
    assert_eq!(hex(&record(&tombstones, &bytes)), golden("tombstones"));
    let found = block("tombstones");
    let data_at = tombstones.layout().data_at;
    assert_eq!(Header::decode(&SECRET, POSITION, &found), Some(tombstones));
    assert!(decode_tombstones(&found[data_at..][..bytes.len()]).eq(fingerprints));
    let full = header(KIND_TOMBSTONES, ("", ""), &[0; TOMBSTONES_MAX * 16]);
    assert_eq!(full.layout().blocks, 1);
}

#[test]
fn tables_are_the_golden_ones() {
    let mut table = vec![0xff; index_table::blocks(2) * BLOCK];
    index_table::encode(&SECRET, 7, &entries(), &mut table);
    let (start, footer) = table.split_at(table.len() - index_table::FOOTER_LEN);
    assert_eq!(hex(start), golden("index table"));
    assert_eq!(hex(footer), golden("index footer"));
    let footer = Footer::decode(&SECRET, &table).unwrap();
    assert_eq!(footer.entries(&table).unwrap(), entries());
}

#[test]
fn a_block_with_any_bit_changed_is_none() {
    let secret = Secret::new(*b"another secret..");
    assert_eq!(Header::decode(&secret, POSITION, &block("object")), None);
    let later = Position { sequence: 8, ..POSITION };
    assert_eq!(Header::decode(&SECRET, later, &block("object")), None);
    let names_end = 56 + "bucketkey".len();
    for bit in 0..names_end * 8 {
        let mut changed = block("object");
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&SECRET, POSITION, &changed), None, "bit {bit}");
    }
    for bit in 0..72 * 8 {
        let mut changed = block("superblock");
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Superblock::decode(&changed), Found::Other, "bit {bit}");
    }
}

/// Name, offset and length of each row of the table under a heading.
fn rows(heading: &str) -> Vec<(String, String, String)> {
    let section = DOCUMENT.split(&format!("\n### {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        let mut next = || cells.next().unwrap();
        let (offset, len) = (next(), next());
        (next(), offset, len)
    })
    .collect()
}

#[test]
fn the_byte_tables_are_those_of_the_code() {
    for (heading, fields) in [
        ("Superblock", superblock::FIELDS),
        ("Segment header", segment_header::FIELDS),
        ("Record", record::FIELDS),
        ("Index table", index_table::ENTRY_FIELDS),
        ("Index footer", index_table::FOOTER_FIELDS),
    ] {
        let listed: Vec<_> = fields
            .iter()
            .map(|(name, offset, len)| {
                let len = if *len == 0 { "…".to_owned() } else { len.to_string() };
                ((*name).to_owned(), offset.to_string(), len)
            })
            .collect();
        assert_eq!(rows(heading), listed, "{heading}");
    }
}

#[test]
fn the_hexadecimal_blocks_are_the_golden_ones() {
    for (name, golden) in GOLDEN {
        let block = DOCUMENT.split(&format!("```hex\n# {name}\n")).nth(1);
        let block = block.unwrap_or_else(|| panic!("no block {name}"));
        assert_eq!(block.split("```").next().unwrap(), golden, "{name}");
    }
}

#[test]
fn the_numbers_of_the_document_are_those_of_the_code() {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    for (what, number) in [
        ("versions of the format", format!("{} and {}", VERSIONS.start(), VERSIONS.end())),
        ("block", format!("{BLOCK} bytes")),
        ("first segment", mib(SEGMENTS_AT)),
        ("shortest segment by default", mib(SEGMENT_LEN_MIN)),
        ("longest segment", mib(SEGMENT_LEN_MAX)),
        ("fewest segments", SEGMENTS_MIN.to_string()),
        ("least capacity", mib(CAPACITY_MIN.bytes())),
        ("tombstones of a record", TOMBSTONES_MAX.to_string()),
    ] {
        let row = format!("| {what} | {number} |");
        assert!(DOCUMENT.contains(&row), "no row {row}");
    }
}

//! Small crates with and without a circle.

use super::*;

/// Circles of a crate whose root is `src/lib.rs`.
fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let graph = graph_of(files);
    graph.circles().into_iter().map(|circle| circle.into_iter().collect()).collect()
}

fn graph_of(files: &[(&str, &str)]) -> Graph {
    let parse = |(path, text): &(&str, &str)| Source::parse(&format!("src/{path}"), text).unwrap();
    let sources: Vec<_> = files.iter().map(parse).collect();
    graph(&["src/lib.rs".to_owned()], &sources)
}

fn is_circle(files: &[(&str, &str)]) -> bool {
    !circles(files).is_empty()
}

#[test]
fn two_files_that_import_each_other_are_a_circle_with_its_lines() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
        ("b.rs", "\npub struct B;\nfn f(a: super::a::A) {}\n"),
    ];
    assert_eq!(circles(&files), [["src/a.rs", "src/b.rs"]]);
    let complaints = judge(&graph_of(&files), &[]);
    assert_eq!(
        complaints,
        ["circle of 2 files: src/a.rs, src/b.rs\n    \
          src/a.rs:1 uses `crate::b::B` of src/b.rs\n    \
          src/b.rs:3 uses `super::a::A` of src/a.rs"]
    );
}

#[test]
fn a_facade_is_no_circle_and_hides_none() {
    let lib =
        ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B, Other as Renamed};\n");
    let a = ("a.rs", "use crate::B;\npub struct A(B);\n");
    assert!(!is_circle(&[lib, a, ("b.rs", "pub struct B;\npub struct Other;\n")]));
    assert!(is_circle(&[lib, a, ("b.rs", "pub struct B;\npub struct Other(crate::A);\n")]));
    let renamed = ("a.rs", "use crate::Renamed as Again;\npub struct A(Again);\n");
    let b = ("b.rs", "use super::*;\npub struct B(A);\npub struct Other;\n");
    assert!(is_circle(&[lib, renamed, b]));
}

#[test]
fn a_parent_that_uses_its_child_makes_a_circle_only_if_the_child_uses_it() {
    let parent = |body: &str| ("lib.rs".to_owned(), format!("mod a;\n{body}\n"));
    let check = |body: &str, child: &str| {
        let (name, text) = parent(body);
        is_circle(&[(&name, &text), ("a.rs", child)])
    };
    let child = "pub struct A(super::Limit);";
    assert!(!check("pub struct Limit;", child), "a declaration is no use");
    assert!(!check("pub use a::A;\npub struct Limit;", child), "to hand on is no use");
    assert!(check("pub use a::A;\npub struct Limit;\nfn f(_: &A) {}", child));
    assert!(check("pub struct Limit;\nfn f() { a::f() }", "use super::Limit;\npub fn f() {}"));
    assert!(!check("pub struct Limit;\nfn f(a: u8) -> u8 { a }", child), "a variable is no use");
}

#[test]
fn nested_modules_and_paths_through_parents_are_followed() {
    let files = |leaf| {
        [
            ("lib.rs", "mod lane;\nmod pool;\n"),
            (
                "lane/mod.rs",
                "pub(crate) mod deep;\nmod inline {\n    pub(super) use super::deep::Leaf;\n}\npub(super) use inline::Leaf;\n",
            ),
            ("lane/deep.rs", leaf),
            ("pool.rs", "use super::lane::Leaf;\npub(crate) struct Pool(Leaf);\n"),
        ]
    };
    assert!(!is_circle(&files("pub(in crate::lane) struct Leaf;\n")));
    let through_parents = "pub struct Leaf;\nfn f() { super::super::pool::Pool::new() }\n";
    assert_eq!(circles(&files(through_parents)), [["src/lane/deep.rs", "src/pool.rs"]]);
    let nested = "pub struct Leaf;\nmod x { mod y { fn f(_: super::super::super::super::pool::Pool) {} } }\n";
    assert!(is_circle(&files(nested)));
}

#[test]
fn macros_count_with_their_definitions_and_arguments() {
    let lib = ("lib.rs", "mod a;\nmod b;\n");
    let b = ("b.rs", "use super::a::row;\npub const MAX: u8 = row!();\n");
    let row = "macro_rules! row { () => { 1 } }\npub(crate) use row;\n";
    assert!(!is_circle(&[lib, ("a.rs", row), b]));
    for user in [
        "fn f() { println!(\"{}\", crate::b::MAX) }\n",
        "macro_rules! other { () => { $crate::b::MAX } }\n",
        "use crate::b;\nfn f() { assert!([1].contains(&b::MAX)) }\n",
    ] {
        assert!(is_circle(&[lib, ("a.rs", &format!("{row}{user}")), b]), "{user}");
    }
}

#[test]
fn globs_of_enums_traits_without_a_name_and_impl_blocks_are_uses() {
    let lib = ("lib.rs", "mod a;\nmod b;\n");
    let a = ("a.rs", "pub enum Kind { One }\npub trait Act {}\nfn f(_: crate::b::B) {}\n");
    for user in [
        "use crate::a::Kind::*;\npub struct B;\n",
        "use crate::a::Act as _;\npub struct B;\n",
        "pub struct B;\nimpl super::a::Act for B {}\n",
        "pub struct B;\nimpl super::a::Kind { fn f() {} }\n",
    ] {
        assert!(is_circle(&[lib, a, ("b.rs", user)]), "{user}");
    }
}

#[test]
fn tests_models_documents_and_other_crates_are_left_out() {
    let lib = ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod models;\n");
    let a = ("a.rs", "use crate::b::B;\npub struct A(B);\n");
    let models = ("models.rs", "use crate::a::A;\nuse crate::b::B;\npub struct Model;\n");
    for other in [
        "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
        "pub struct B;\n#[cfg(test)]\nuse crate::models::Model;\n",
        "pub struct B { #[cfg(test)] field: crate::a::A }\n",
        "/// See [`crate::a::A`].\npub struct B;\n",
        "use ::a::A;\nuse a::A as Theirs;\npub struct B(A);\n",
        "use serde::a;\npub struct B(a::A);\n",
    ] {
        assert!(!is_circle(&[lib, a, models, ("b.rs", other)]), "{other}");
    }
}

#[test]
fn an_exception_covers_its_circle_and_must_be_needed() {
    const AB: Exception = Exception { files: &["src/a.rs", "src/b.rs"], reason: "of this test" };
    let lib = ("lib.rs", "mod a;\nmod b;\n");
    let a = ("a.rs", "pub struct A(super::b::B);\n");
    let circle = graph_of(&[lib, a, ("b.rs", "pub struct B(crate::a::A);\n")]);
    assert!(judge(&circle, &[AB]).is_empty());
    let none = graph_of(&[lib, a, ("b.rs", "pub struct B;\n")]);
    let complaints = judge(&none, &[AB]);
    assert!(complaints[0].ends_with("files=`src/a.rs, src/b.rs` reason=`of this test`"));
    assert_eq!(complaints.len(), 1);
}

//! Lengths of files and functions.

use std::{collections::BTreeSet, fmt};

use syn::{
    Attribute, Block, ImplItem, Item, Signature, TraitItem,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::rust::{self, Source};

/// The most lines of a source file without its inline tests. Above 500 a file explains itself.
const PRODUCTION_LINES_MAX: usize = 500;

/// The most lines of a function, tests included. A longer one does more than its name says.
const FUNCTION_LINES_MAX: usize = 70;

/// Folders whose files are the product; the rest of the tree is there to test it.
const PRODUCT: [&str; 3] = ["crates/", "bindings/", "xtask/"];

/// Complaints about a file that is too long, and about its functions that are.
pub(super) fn complaints(source: &Source) -> Vec<String> {
    let path = &source.path;
    let lines = production_lines(source);
    let is_long = lines > PRODUCTION_LINES_MAX && !source.is_for_tests();
    let file = is_long.then(|| {
        format!("{path}: {lines} lines without its tests, at most {PRODUCTION_LINES_MAX}: split it")
    });
    let all = functions(source);
    let long = all.iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    let functions = long.map(|Function { name, line, lines, .. }| {
        format!("{path}:{line}: {name} has {lines} lines, at most {FUNCTION_LINES_MAX}: split it")
    });
    file.into_iter().chain(functions).collect()
}

/// Figures on the product's files and functions, without tests and benchmarks.
pub(super) struct Shape {
    files: Vec<usize>,
    functions: Vec<usize>,
}

impl Shape {
    /// Measures all files of the product.
    pub(super) fn of(sources: &[Source]) -> Self {
        let test_only = test_modules(sources);
        let is_product = |source: &&Source| {
            PRODUCT.iter().any(|folder| source.path.starts_with(folder))
                && !source.is_for_tests()
                && !test_only.iter().any(|module| is_within(&source.path, module))
        };
        let mut shape = Self { files: Vec::new(), functions: Vec::new() };
        for source in sources.iter().filter(is_product) {
            shape.files.push(production_lines(source));
            let production = functions(source).into_iter().filter(|function| !function.is_test);
            shape.functions.extend(production.map(|function| function.lines));
        }
        shape.files.sort_unstable();
        shape.functions.sort_unstable();
        shape
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: usize = self.files.iter().sum();
        write!(f, "{} files of {lines} production lines: ", self.files.len())?;
        write_figures(f, &self.files)?;
        write!(f, "; {} functions: ", self.functions.len())?;
        write_figures(f, &self.functions)
    }
}

fn write_figures(f: &mut fmt::Formatter<'_>, sorted: &[usize]) -> fmt::Result {
    let at = |share: usize| sorted.get(sorted.len() * share / 100).copied().unwrap_or_default();
    let max = sorted.last().copied().unwrap_or_default();
    write!(f, "median {}, p90 {}, max {max}", at(50), at(90))
}

/// Lines of a file without its inline tests.
pub(super) fn production_lines(source: &Source) -> usize {
    let items = source.file.items.iter().filter(|item| rust::is_test_only(rust::attributes(item)));
    let test_lines = items.map(|item| {
        let span = item.span();
        span.end().line + 1 - span.start().line
    });
    source.text.lines().count() - test_lines.sum::<usize>()
}

/// Paths, without their endings, of modules that are declared for tests alone.
fn test_modules(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let folder = match source.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
            _ => source.path.trim_end_matches(".rs"),
        };
        for item in &source.file.items {
            if let Item::Mod(module) = item
                && rust::is_test_only(&module.attrs)
            {
                found.insert(format!("{folder}/{}", module.ident));
            }
        }
    }
    found
}

fn is_within(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

struct Function {
    name: String,
    line: usize,
    /// From its signature to its closing brace.
    lines: usize,
    is_test: bool,
}

fn functions(source: &Source) -> Vec<Function> {
    let mut walk = Walk { found: Vec::new(), is_test: false };
    walk.visit_file(&source.file);
    walk.found
}

struct Walk {
    found: Vec<Function>,
    /// True within items of test builds.
    is_test: bool,
}

impl Walk {
    fn add(&mut self, signature: &Signature, body: &Block) {
        let line = signature.span().start().line;
        let lines = body.span().end().line + 1 - line;
        let (name, is_test) = (signature.ident.to_string(), self.is_test);
        self.found.push(Function { name, line, lines, is_test });
    }

    /// Walks through an item, as one of tests if its attributes say so.
    fn within(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        let around = self.is_test;
        self.is_test |= rust::is_test_only(attributes);
        walk(self);
        self.is_test = around;
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(rust::attributes(item), |walk| {
            if let Item::Fn(function) = item {
                walk.add(&function.sig, &function.block);
            }
            visit::visit_item(walk, item);
        });
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        self.within(rust::impl_attributes(item), |walk| {
            if let ImplItem::Fn(function) = item {
                walk.add(&function.sig, &function.block);
            }
            visit::visit_impl_item(walk, item);
        });
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(function) = item
            && let Some(body) = &function.default
        {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text).unwrap()
    }

    #[test]
    fn long_functions_are_named_wherever_they_are() {
        let body = "    f();\n".repeat(FUNCTION_LINES_MAX - 1);
        for (before, after, line) in [
            ("/// Doc.\n", "", 2),
            ("impl A {\n", "}", 2),
            ("trait A {\n", "}", 2),
            ("#[cfg(test)]\nmod tests {\n", "}", 3),
            ("fn outer() { {\n", "}}", 2),
        ] {
            let function =
                |body: &str| source("a.rs", &format!("{before}fn f() {{\n{body}}}\n{after}"));
            let found = complaints(&function(&body));
            let long: Vec<_> =
                found.iter().filter(|complaint| complaint.contains(" f has")).collect();
            assert_eq!(long.len(), 1, "{before}: {found:?}");
            assert!(long[0].starts_with(&format!("a.rs:{line}: ")), "{before}: {found:?}");
            assert!(complaints(&function("    f();\n")).is_empty());
        }
    }

    #[test]
    fn a_long_file_is_named_unless_it_is_tests() {
        let code = "use a;\n".repeat(PRODUCTION_LINES_MAX);
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        assert!(complaints(&source("src/a.rs", &format!("{code}{tests}"))).is_empty());
        let longer = format!("{tests}{code}use b;\n");
        assert_eq!(complaints(&source("src/a.rs", &longer)).len(), 1);
        assert!(complaints(&source("tests/a.rs", &longer)).is_empty());
    }

    #[test]
    fn tests_are_no_production_lines() {
        let text =
            "#[cfg(test)]\nmod models;\nfn f() {\n}\n\n#[cfg(test)]\nmod tests {\n}\nfn g() {}\n";
        assert_eq!(production_lines(&source("a.rs", text)), 4);
    }

    #[test]
    fn figures_are_of_the_product_alone() {
        let sources = [
            source("crates/a/src/lib.rs", "mod b;\n#[cfg(test)]\nmod models;\n"),
            source(
                "crates/a/src/b.rs",
                "fn f() {\n}\n#[cfg(test)]\nmod tests {\n fn g() {\n\n\n} }\n",
            ),
            source("crates/a/src/models/mod.rs", "fn f() {\n\n\n\n}\n"),
            source("crates/a/src/models/deep.rs", "fn f() {\n\n\n\n}\n"),
            source("crates/a/tests/b.rs", "fn f() {\n\n\n\n}\n"),
            source("testing/a/src/lib.rs", "fn f() {\n\n\n\n}\n"),
            source("xtask/src/main.rs", "fn f() {}\nfn g() {}\nfn h() {}\n"),
        ];
        assert_eq!(
            Shape::of(&sources).to_string(),
            "3 files of 6 production lines: median 2, p90 3, max 3; \
             4 functions: median 1, p90 2, max 2"
        );
    }
}

//! Rust files, parsed.

use anyhow::{Context, Result};
use syn::{
    Attribute, ImplItem, Item, Meta, Token, TraitItem, parse::Parser, punctuated::Punctuated,
};

/// One Rust file.
pub(super) struct Source {
    /// Path from the root of the tree.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) file: syn::File,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        let file = syn::parse_file(text).with_context(|| format!("cannot parse {path}"))?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), file })
    }

    /// True for files that exist for tests or benchmarks alone.
    pub(super) fn is_for_tests(&self) -> bool {
        ["tests", "benches"].iter().any(|folder| {
            self.path.starts_with(&format!("{folder}/"))
                || self.path.contains(&format!("/{folder}/"))
        })
    }
}

/// True if an item with these attributes is part of test builds alone.
pub(super) fn is_test_only(attributes: &[Attribute]) -> bool {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let mut parsed = conditions.filter_map(|attribute| attribute.parse_args::<Meta>().ok());
    parsed.any(|condition| without_tests(&condition) == Some(false))
}

/// Value of a `cfg` condition in a build without tests; `None` if other conditions decide.
fn without_tests(condition: &Meta) -> Option<bool> {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test").then_some(false);
    };
    let parts = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone()).ok()?;
    let mut values = parts.iter().map(without_tests);
    // The value that one part alone gives to the whole.
    let decisive = list.path.is_ident("any");
    if list.path.is_ident("not") {
        return values.next()?.map(|value| !value);
    }
    let values: Vec<_> = values.collect();
    match values.contains(&Some(decisive)) {
        true => Some(decisive),
        false => values.iter().all(Option::is_some).then_some(!decisive),
    }
}

/// Attributes of an item; empty for kinds of items that cannot depend on tests.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The same for an item of an `impl` block.
pub(super) fn impl_attributes(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

/// The same for an item of a trait.
pub(super) fn trait_attributes(item: &TraitItem) -> &[Attribute] {
    match item {
        TraitItem::Const(item) => &item.attrs,
        TraitItem::Fn(item) => &item.attrs,
        TraitItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn items_of_test_builds_are_known_by_their_conditions() {
        let cases: [(Attribute, bool); 7] = [
            (parse_quote!(#[cfg(test)]), true),
            (parse_quote!(#[cfg(all(test, unix))]), true),
            (parse_quote!(#[cfg(not(not(test)))]), true),
            (parse_quote!(#[cfg(any(test, unix))]), false),
            (parse_quote!(#[cfg(not(test))]), false),
            (parse_quote!(#[cfg(feature = "test")]), false),
            (parse_quote!(#[inline]), false),
        ];
        for (number, (attribute, expected)) in cases.into_iter().enumerate() {
            assert_eq!(is_test_only(&[attribute]), expected, "case {number}");
        }
    }

    #[test]
    fn files_of_tests_and_benchmarks_are_known_by_their_folders() {
        for (path, expected) in [
            ("crates/a/tests/one.rs", true),
            ("crates/a/benches/copy/main.rs", true),
            ("crates/a/src/tests.rs", false),
            ("testing/soak/src/main.rs", false),
        ] {
            assert_eq!(Source::parse(path, "").unwrap().is_for_tests(), expected, "{path}");
        }
    }
}

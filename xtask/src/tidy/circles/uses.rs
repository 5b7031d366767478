//! Paths as the code names them.

use proc_macro2::{TokenStream, TokenTree};
use syn::{UseTree, spanned::Spanned};

use super::crate_tree::Segments;

/// One name that a `use` declaration takes.
pub(super) struct Import {
    pub(super) segments: Segments,
    pub(super) line: usize,
    pub(super) kind: ImportKind,
}

pub(super) enum ImportKind {
    /// Under its own name, or under the one behind `as`.
    Named(String),
    /// For its methods alone: `as _`.
    Unnamed,
    /// Everything behind the path.
    Glob,
}

/// Takes a `use` declaration apart.
pub(super) fn imports(tree: &UseTree, before: &Segments, found: &mut Vec<Import>) {
    let with = |name: &str| [before.as_slice(), &[name.to_owned()]].concat();
    let line = tree.span().start().line;
    match tree {
        UseTree::Path(path) => imports(&path.tree, &with(&path.ident.to_string()), found),
        UseTree::Group(group) => group.items.iter().for_each(|tree| imports(tree, before, found)),
        UseTree::Glob(_) => {
            found.push(Import { segments: before.clone(), line, kind: ImportKind::Glob });
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            // `use a::b::{self}` takes `b`.
            let segments = if name == "self" { before.clone() } else { with(&name) };
            let name = segments.last().cloned().unwrap_or_default();
            found.push(Import { segments, line, kind: ImportKind::Named(name) });
        }
        UseTree::Rename(rename) => {
            let name = rename.ident.to_string();
            let segments = if name == "self" { before.clone() } else { with(&name) };
            let name = rename.rename.to_string();
            let kind = if name == "_" { ImportKind::Unnamed } else { ImportKind::Named(name) };
            found.push(Import { segments, line, kind });
        }
    }
}

/// Paths within the arguments of a macro, or within its definition: their grammar is unknown, so
/// every row of names with `::` between them counts as one.
pub(super) fn paths_in_tokens(tokens: TokenStream, found: &mut Vec<(Segments, usize)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: usize, mark: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == mark);
    let mut at = 0;
    while at < tokens.len() {
        let start = at;
        at += 1;
        let first = match &tokens[start] {
            TokenTree::Group(group) => {
                paths_in_tokens(group.stream(), found);
                continue;
            }
            TokenTree::Ident(first) => first,
            _ => continue,
        };
        let mut segments = vec![first.to_string()];
        while let (true, true, Some(TokenTree::Ident(next))) =
            (is(at, ':'), is(at + 1, ':'), tokens.get(at + 2))
        {
            segments.push(next.to_string());
            at += 3;
        }
        let before = |distance: usize, mark| start >= distance && is(start - distance, mark);
        // Fields, methods, lifetimes and paths that begin at the root of all crates.
        let is_member = before(1, '.') && !before(2, '.');
        let is_rooted = before(1, ':') && before(2, ':');
        // A single name in small letters is a variable more often than an item.
        let is_call = is(at, '!') || matches!(tokens.get(at), Some(TokenTree::Group(_)));
        let is_item = segments.len() > 1 || is_call || segments[0].starts_with(char::is_uppercase);
        if is_item && !is_member && !is_rooted && !before(1, '\'') {
            found.push((segments, first.span().start().line));
        }
    }
}

//! Walk through a file's syntax: which names its modules define, which paths they name.

use std::collections::{BTreeMap, HashSet};

use syn::{
    Attribute, Block, ExprPath, Field, ImplItem, Item, ItemMod, ItemUse, Local, Macro, PatIdent,
    Path, Signature, TraitItem, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    super::rust::{self, Source},
    crate_tree::{CrateTree, ModuleId, Name, Use},
    uses::{self, Import, ImportKind},
};

/// Reads the crate that has this root file.
pub(super) fn crate_tree(root: &str, sources: &BTreeMap<&str, &Source>) -> CrateTree {
    let mut tree = CrateTree::default();
    if let Some(source) = sources.get(root) {
        let (folder, _) = root.rsplit_once('/').unwrap_or_default();
        let id = tree.add(None, root, folder);
        file(&mut tree, id, source, sources);
    }
    tree
}

/// Adds all that a module's file says to the tree, and all that the files of its children say.
fn file(
    tree: &mut CrateTree,
    module: ModuleId,
    source: &Source,
    sources: &BTreeMap<&str, &Source>,
) {
    let mut walk = Walk { tree, module, sources, locals: HashSet::new() };
    walk.visit_file(&source.file);
}

struct Walk<'a> {
    tree: &'a mut CrateTree,
    module: ModuleId,
    sources: &'a BTreeMap<&'a str, &'a Source>,
    /// Variables of the function around: they hide items of the same name.
    locals: HashSet<String>,
}

impl Walk<'_> {
    fn found(&mut self, segments: Vec<String>, line: usize) {
        self.tree.uses.push(Use { module: self.module, segments, line });
    }

    fn define(&mut self, item: &Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(name) => name,
                None => return,
            },
            _ => return,
        };
        self.tree.name(self.module, &name.to_string(), Name::Item);
    }

    fn import(&mut self, import: Import, is_handed_on: bool) {
        let Import { segments, line, kind } = import;
        // What is only handed on is not used here.
        if !is_handed_on {
            self.found(segments.clone(), line);
        }
        match kind {
            ImportKind::Named(name) => self.tree.name(self.module, &name, Name::Import(segments)),
            ImportKind::Glob => self.tree.modules[self.module].globs.push(segments),
            ImportKind::Unnamed => {}
        }
    }

    /// Walks through a function, whose variables hide items.
    fn function(&mut self, signature: &Signature, body: Option<&Block>) {
        let mut locals = Locals(std::mem::take(&mut self.locals));
        locals.visit_signature(signature);
        body.into_iter().for_each(|body| locals.visit_block(body));
        self.locals = locals.0;
        self.visit_signature(signature);
        body.into_iter().for_each(|body| self.visit_block(body));
        self.locals.clear();
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if rust::is_test_only(rust::attributes(item)) {
            return;
        }
        self.define(item);
        match item {
            Item::Fn(item) => self.function(&item.sig, Some(&item.block)),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if rust::is_test_only(rust::impl_attributes(item)) {
            return;
        }
        match item {
            ImplItem::Fn(item) => self.function(&item.sig, Some(&item.block)),
            _ => visit::visit_impl_item(self, item),
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if rust::is_test_only(rust::trait_attributes(item)) {
            return;
        }
        match item {
            TraitItem::Fn(item) => self.function(&item.sig, item.default.as_ref()),
            _ => visit::visit_trait_item(self, item),
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if !rust::is_test_only(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if !rust::is_test_only(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let (parent, name) = (self.module, item.ident.to_string());
        let here = &self.tree.modules[parent];
        let inner = [here.folder.as_str(), &name].join("/");
        let files = [format!("{inner}.rs"), format!("{inner}/mod.rs")];
        let own = here.file.clone();
        let child = match &item.content {
            Some((_, items)) => {
                self.module = self.tree.add(Some(parent), &own, &inner);
                items.iter().for_each(|item| self.visit_item(item));
                self.module
            }
            None => {
                let source = files.iter().find_map(|file| self.sources.get(file.as_str()));
                // A file that is not there is for the compiler to say.
                let Some(source) = source else { return };
                let child = self.tree.add(Some(parent), &source.path, &inner);
                file(self.tree, child, source, self.sources);
                child
            }
        };
        self.module = parent;
        self.tree.name(parent, &name, Name::Module(child));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let is_handed_on = !matches!(item.vis, Visibility::Inherited);
        let mut imports = Vec::new();
        uses::imports(&item.tree, &Vec::new(), &mut imports);
        imports.into_iter().for_each(|import| self.import(import, is_handed_on));
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        let name = path.path.get_ident().map(ToString::to_string);
        if !name.is_some_and(|name| self.locals.contains(&name)) {
            visit::visit_expr_path(self, path);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string());
            self.found(segments.collect(), path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast Macro) {
        self.visit_path(&invoked.path);
        let mut paths = Vec::new();
        uses::paths_in_tokens(invoked.tokens.clone(), &mut paths);
        for (segments, line) in paths {
            if segments.len() > 1 || !self.locals.contains(&segments[0]) {
                self.found(segments, line);
            }
        }
    }

    // Attributes name macros of other crates, and say who may see an item.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Names that patterns bind.
struct Locals(HashSet<String>);

impl<'ast> Visit<'ast> for Locals {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        self.0.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

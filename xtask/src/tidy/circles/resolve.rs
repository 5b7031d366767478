//! From a path to the files that define it, through imports and re-exports.

use std::collections::HashSet;

use super::crate_tree::{CrateTree, ModuleId, Name};

/// End of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Module(ModuleId),
    /// An item of this module's file.
    Item(ModuleId),
}

/// Look-ups that are under way: an import may lead back to itself.
type Visited = HashSet<(ModuleId, String)>;

/// Files that define what a path of a module's code leads to; none if it leads to a module as such
/// or out of the crate.
pub(super) fn files<'a>(
    tree: &'a CrateTree,
    module: ModuleId,
    segments: &[String],
) -> HashSet<&'a str> {
    let targets = path(tree, module, segments, &mut Visited::new());
    let items = targets.into_iter().filter_map(|target| match target {
        Target::Item(module) => Some(tree.modules[module].file.as_str()),
        Target::Module(_) => None,
    });
    items.collect()
}

fn path(
    tree: &CrateTree,
    module: ModuleId,
    segments: &[String],
    visited: &mut Visited,
) -> Vec<Target> {
    let Some((first, rest)) = segments.split_first() else { return Vec::new() };
    let mut targets = match first.as_str() {
        "crate" => vec![Target::Module(0)],
        "self" => vec![Target::Module(module)],
        "super" => parent(tree, module),
        name => lookup(tree, module, name, visited).unwrap_or_default(),
    };
    for segment in rest {
        // Where a module and a function share their name, only the module has something in it.
        if targets.iter().any(|target| matches!(target, Target::Module(_))) {
            targets.retain(|target| matches!(target, Target::Module(_)));
        }
        let inside = targets.iter().flat_map(|target| step(tree, *target, segment, visited));
        targets = inside.collect();
    }
    targets
}

/// One segment further.
fn step(tree: &CrateTree, target: Target, segment: &str, visited: &mut Visited) -> Vec<Target> {
    match target {
        // A variant, a constant or a function of a type.
        Target::Item(_) => vec![target],
        Target::Module(module) if segment == "super" => parent(tree, module),
        // A name that is not found comes out of a macro in that file.
        Target::Module(module) => {
            lookup(tree, module, segment, visited).unwrap_or_else(|| vec![Target::Item(module)])
        }
    }
}

fn parent(tree: &CrateTree, module: ModuleId) -> Vec<Target> {
    tree.modules[module].parent.map(Target::Module).into_iter().collect()
}

/// Meanings of a name within a module: `None` if it has none there, and no targets if it comes
/// from another crate.
fn lookup(
    tree: &CrateTree,
    module: ModuleId,
    name: &str,
    visited: &mut Visited,
) -> Option<Vec<Target>> {
    if !visited.insert((module, name.to_owned())) {
        return Some(Vec::new());
    }
    let found = match tree.modules[module].names.get(name) {
        Some(meanings) => {
            let targets = meanings.iter().flat_map(|meaning| match meaning {
                Name::Module(id) => vec![Target::Module(*id)],
                Name::Item => vec![Target::Item(module)],
                Name::Import(segments) => path(tree, module, segments, visited),
            });
            Some(targets.collect())
        }
        None => in_globs(tree, module, name, visited),
    };
    visited.remove(&(module, name.to_owned()));
    found
}

/// The same among what glob imports bring in.
fn in_globs(
    tree: &CrateTree,
    module: ModuleId,
    name: &str,
    visited: &mut Visited,
) -> Option<Vec<Target>> {
    let mut is_elsewhere = false;
    for glob in &tree.modules[module].globs {
        let sources = path(tree, module, glob, visited);
        is_elsewhere |= sources.is_empty();
        for source in sources {
            // A glob of an enum brings in its variants, whose file the import itself names.
            let Target::Module(source) = source else { continue };
            if let Some(found) = lookup(tree, source, name, visited) {
                return Some(found);
            }
        }
    }
    is_elsewhere.then(Vec::new)
}

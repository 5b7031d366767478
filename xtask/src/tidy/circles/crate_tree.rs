//! Modules of one crate with the names that each defines and imports.

use std::collections::HashMap;

/// Segments of a path, as `crate`, `lane` and `Frame`.
pub(super) type Segments = Vec<String>;

/// Number of a module within its crate; the root is 0.
pub(super) type ModuleId = usize;

/// One crate: the module of its root file, and all modules that this one declares.
#[derive(Default)]
pub(super) struct CrateTree {
    pub(super) modules: Vec<Module>,
    /// Paths that the code of a module names, in their order.
    pub(super) uses: Vec<Use>,
}

/// One path that the code of a module names.
pub(super) struct Use {
    pub(super) module: ModuleId,
    pub(super) segments: Segments,
    pub(super) line: usize,
}

/// A module with a file of its own, or an inline one.
pub(super) struct Module {
    pub(super) parent: Option<ModuleId>,
    /// File that holds its code.
    pub(super) file: String,
    /// Folder in which the files of its children are.
    pub(super) folder: String,
    pub(super) names: HashMap<String, Vec<Name>>,
    /// Paths in front of the `::*` of its imports.
    pub(super) globs: Vec<Segments>,
}

/// Meaning of a name within a module.
pub(super) enum Name {
    Module(ModuleId),
    /// Something that the module's file defines.
    Item,
    Import(Segments),
}

impl CrateTree {
    /// Adds a module without names.
    pub(super) fn add(&mut self, parent: Option<ModuleId>, file: &str, folder: &str) -> ModuleId {
        self.modules.push(Module {
            parent,
            file: file.to_owned(),
            folder: folder.to_owned(),
            names: HashMap::new(),
            globs: Vec::new(),
        });
        self.modules.len() - 1
    }

    pub(super) fn name(&mut self, module: ModuleId, name: &str, meaning: Name) {
        self.modules[module].names.entry(name.to_owned()).or_default().push(meaning);
    }
}

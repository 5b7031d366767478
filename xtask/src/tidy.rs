//! Checks that the compiler does not make: sizes of files and functions, words, links, which crate
//! uses which, and circles of imports between files.

mod circles;
mod layers;
mod rust;
mod shape;
mod text;
mod words;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use rust::Source;
use shape::Shape;
use words::Vocabulary;

/// Fails with every complaint about the tree, one a line.
pub(crate) fn run(root: &Path) -> Result<()> {
    let vocabulary = Vocabulary::read(root)?;
    let (mut complaints, mut sources) = (Vec::new(), Vec::new());
    let files = tracked(root)?;
    for file in &files {
        // Not text: nothing to read.
        let Ok(content) = fs::read_to_string(root.join(file)) else { continue };
        complaints.extend(text::complaints(root, file, &content));
        complaints.extend(vocabulary.complaints(file, &content, words::ALL));
        if file.ends_with(".rs") {
            let source = Source::parse(file, &content)?;
            complaints.extend(shape::complaints(&source));
            sources.push(source);
        }
    }
    complaints.extend(vocabulary.own_complaints());
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md"))
        .context("ARCHITECTURE.md states which crate may use which")?;
    let workspace = layers::metadata(root)?;
    complaints.extend(layers::complaints(&architecture, &workspace.layers));
    complaints.extend(circles::complaints(&workspace.roots, &sources));
    ensure!(complaints.is_empty(), "the tree is not tidy:\n{}", complaints.join("\n"));
    let (files, allowed) = (files.len(), circles::ALLOWED);
    eprintln!("xtask: tidy, {files} files, {allowed} circles allowed; {}", Shape::of(&sources));
    Ok(())
}

/// The files that are part of the project: those that git tracks or would track.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "git cannot list the files of the tree");
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let there = |name: &&str| root.join(name).is_file();
    Ok(names.lines().filter(there).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_tree_is_tidy() {
        super::run(&crate::root().unwrap()).unwrap();
    }
}

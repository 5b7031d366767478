//! Checks of one file's text.

use std::path::Path;

/// The most lines of any source file.
const LINES_MAX: usize = 800;

/// Marks of unfinished work. Split, so that this file does not find itself.
const MARKERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("todo", "!(")];

pub(super) fn complaints(root: &Path, file: &str, content: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let source = file.ends_with(".rs") || file.ends_with(".py");
    if source {
        complaints.extend(too_long(file, content));
        complaints.extend(unfinished(file, content));
    }
    if file.ends_with(".md") {
        complaints.extend(dead_links(root, file, content));
    }
    if file.ends_with("src/lib.rs") && !content.contains("#![forbid(unsafe_code)]") {
        // One crate touches shared bytes; it says so at its root.
        if file != "crates/kvlease-sys/src/lib.rs" {
            complaints.push(format!("{file}: forbid unsafe_code, or move the code to kvlease-sys"));
        }
    }
    complaints
}

fn too_long(file: &str, content: &str) -> Option<String> {
    let lines = content.lines().count();
    (lines > LINES_MAX).then(|| format!("{file}: {lines} lines, at most {LINES_MAX}: split it"))
}

fn unfinished(file: &str, content: &str) -> Vec<String> {
    let lines = content.lines().enumerate();
    let marked = lines.filter(|(_, line)| MARKERS.iter().any(|marker| line.contains(marker)));
    marked.map(|(at, line)| format!("{file}:{}: unfinished: {}", at + 1, line.trim())).collect()
}

/// Relative links of a Markdown file whose target does not exist.
fn dead_links(root: &Path, file: &str, content: &str) -> Vec<String> {
    let folder = root.join(file).parent().map(Path::to_owned).unwrap_or_default();
    let targets = content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"));
    let dead = relative.filter(|target| !folder.join(target).exists());
    dead.map(|target| format!("{file}: the link leads nowhere: {target}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_grow_too_long_are_named() {
        assert_eq!(complaints(Path::new("/"), "a.rs", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn markers_dead_links_and_unsafe_libraries_are_named() {
        let marked = format!("// {}: later\n", MARKERS[0]);
        assert!(complaints(Path::new("/"), "a.py", &marked)[0].starts_with("a.py:1:"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.md"), "").unwrap();
        let text = "[b](b.md#part) [c](c.md) [web](https://example.org)";
        let found = complaints(folder.path(), "a.md", text);
        assert_eq!(found, ["a.md: the link leads nowhere: c.md"]);
        assert_eq!(complaints(Path::new("/"), "crates/x/src/lib.rs", "mod a;\n").len(), 1);
    }
}

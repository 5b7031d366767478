//! Inputs to begin with that other tests have as well.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// One frame of each kind.
const FRAMES: &str = "crates/kvlease-api/tests/lane/golden";

/// A manifest, in front of which there is a header that the target has of its own.
const MANIFEST: &str = "crates/kvlease-arena/testdata/manifest-v1.bin";
const MANIFEST_HEADER_LEN: usize = 4096;

/// Writes those of a target into a folder.
pub(super) fn prepare(root: &Path, target: &str, folder: &Path) -> Result<()> {
    match target {
        "lane" => frames(&root.join(FRAMES), folder),
        "manifest" => {
            let manifest =
                fs::read(root.join(MANIFEST)).with_context(|| format!("no {MANIFEST}"))?;
            let cells = manifest.get(MANIFEST_HEADER_LEN..).context("the manifest is too short")?;
            Ok(fs::write(folder.join("golden"), cells)?)
        }
        _ => Ok(()),
    }
}

fn frames(golden: &Path, folder: &Path) -> Result<()> {
    for file in fs::read_dir(golden).with_context(|| format!("no {}", golden.display()))? {
        let file = file?.path();
        let name = file.file_stem().context("a golden file has a name")?;
        let frame = frame(&fs::read_to_string(&file)?);
        let frame = frame.with_context(|| format!("no hexadecimal digits: {}", file.display()))?;
        fs::write(folder.join(name), frame)?;
    }
    Ok(())
}

/// The bytes that a golden file has in hexadecimal; `#` begins a comment.
fn frame(text: &str) -> Result<Vec<u8>> {
    let bytes = text.lines().flat_map(|line| {
        let (bytes, _) = line.split_once('#').unwrap_or((line, ""));
        bytes.split_whitespace()
    });
    Ok(bytes.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_files_are_seeds_of_their_targets() {
        let (root, folder) = (crate::root().unwrap(), tempfile::tempdir().unwrap());
        for (target, name, len) in [("lane", "hello", 32), ("manifest", "golden", 1280)] {
            prepare(&root, target, folder.path()).unwrap();
            assert_eq!(fs::read(folder.path().join(name)).unwrap().len(), len);
        }
    }
}

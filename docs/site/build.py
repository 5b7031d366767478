#!/usr/bin/env python3
"""Makes the documents' site from the documents as they are: `build.py DIRECTORY`.

It runs in the environment of testing/operations; `cargo xtask site` calls it there. A warning of
Sphinx is an error: a page that no list names, a link or an anchor that leads nowhere.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# The page on top, which leads to the home page.
FORWARD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>kvlease</title>
<meta http-equiv="refresh" content="0; url=docs/site/index.html"></head>
<body><a href="docs/site/index.html">kvlease</a></body></html>
"""

# A link within the tree, without an anchor.
LINK = re.compile(r"\]\(([^()\s:#]+)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    build(parser.parse_args().directory.absolute())


def build(directory: Path) -> None:
    """Makes the site in a directory, which is new or one of an earlier site."""
    with tempfile.TemporaryDirectory(prefix="kvlease-site-") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        # A copy, since folders get pages. MyST follows symbolic links to their end, and would find
        # no page there.
        for name in files():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        list_folders(source)
        command = [sys.executable, "-m", "sphinx", "--builder", "html", "--conf-dir", HERE]
        command += ["--doctree-dir", Path(folder) / "doctrees", "--quiet", "--fresh-env"]
        command += ["--fail-on-warning", "--nitpicky"]
        subprocess.run([*command, source, directory], check=True)
    (directory / "index.html").write_text(FORWARD)


def list_folders(source: Path) -> None:
    """Gives each folder that a document links to a page with its files, and links to that."""
    for document in sorted(source.rglob("*.md")):

        def led(link: re.Match, folder: Path = document.parent) -> str:
            target = folder / link[1]
            if not target.is_dir():
                return link[0]
            page = target / "index.md"
            if not page.exists():
                page.write_text(listing(target.resolve().relative_to(source.resolve()), target))
            return f"]({link[1].rstrip('/')}/index.md)"

        text = document.read_text()
        if (changed := LINK.sub(led, text)) != text:
            document.write_text(changed)


def listing(name: Path, folder: Path) -> str:
    """The page of a folder."""
    links = [f"* [{path.name}]({path.name})" for path in sorted(folder.iterdir()) if path.is_file()]
    return "\n".join(["---", "orphan: true", "---", f"# {name}", "", *links, ""])


def files() -> list[str]:
    """The files of the tree, those that git does not know yet included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


if __name__ == "__main__":
    main()

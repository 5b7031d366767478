"""Settings of Sphinx for the documents' site. build.py lays the tree out and calls it."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.highlighting import lexers

project = "kvlease"
html_title = "kvlease"
extensions = ["myst_parser"]
# Lists of pages begin with colons: they are no blocks of a document to be run.
myst_enable_extensions = ["colon_fence"]
root_doc = "docs/site/index"
include_patterns = [
    "**/index.md",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "findings/README.md",
    "testing/*/README.md",
]

# Anchors as the links of the documents have them.
myst_heading_anchors = 6

html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

# Texts in JSON and shell may have an ellipsis, and the README's first screen has no headings of its
# own.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]


def setup(app: Sphinx) -> None:
    """Languages of fenced blocks that Pygments does not know are plain text."""
    for language in ("hex", "promql"):
        lexers[language] = TextLexer()

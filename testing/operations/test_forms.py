"""The forms of issues: what a hosting service asks of such a file, and no personal detail."""

import re

import pytest
import yaml

from daemon import ROOT

FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
# The kinds of fields of a form, with the keys of their attributes.
FIELDS = {
    "markdown": {"value"},
    "textarea": {"label", "description", "render", "placeholder", "value"},
    "input": {"label", "description", "placeholder", "value"},
}


@pytest.mark.parametrize("name", ["bug.yml", "wish.yml"])
def test_a_form_has_names_fields_and_something_that_is_required(name):
    form = yaml.safe_load((FORMS / name).read_text())
    assert set(form) == {"name", "description", "labels", "body"}
    identifiers, required = [], 0
    for field in form["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert set(field["attributes"]) <= FIELDS[field["type"]], field
        identifiers += [field["id"]] if field["type"] != "markdown" else []
        required += field.get("validations", {}).get("required", False)
    assert len(identifiers) == len(set(identifiers)) and required >= 1


def test_what_the_forms_name_exists():
    for path in FORMS.iterdir():
        text = path.read_text()
        for named in re.findall(r"\b(?:docs/[\w-]+|SECURITY)\.md\b", text):
            assert (ROOT / named).exists(), named
        assert not re.search(r"\S+@\S+\.\S+|https?://", text), path


def test_security_names_no_person_and_links_the_threat_model():
    text = (ROOT / "SECURITY.md").read_text()
    assert "docs/threat-model.md" in text
    assert not re.search(r"\S+@\S+\.\S+|https?://", text)

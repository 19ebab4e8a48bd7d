"""The README is run: its Python blocks print what it shows, its generated tables are the code's."""

import re
from pathlib import Path

import pytest

from qdist.runs.views import docs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_print_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code, expected in re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), names)
        assert capsys.readouterr().out == expected


@pytest.mark.parametrize("marker", sorted(docs.GENERATED))
def test_generated_parts_are_up_to_date(marker):
    found = re.search(rf"<!-- {marker} -->\n(.*?)<!-- end -->", README, re.DOTALL)

    assert found, f"README.md must have a part between <!-- {marker} --> and <!-- end -->"
    assert found[1] == docs.GENERATED[marker](), "call `qdist.runs.views.docs.write_readme()` to write it anew"


def test_links_inside_the_repository_lead_somewhere():
    for path in (ROOT / "README.md", ROOT / "qdist" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_files_named_in_the_architecture_page_exist():
    text = (ROOT / "qdist" / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.py)`", text):
        assert (ROOT / "qdist" / name).exists() or (ROOT / name).exists(), name

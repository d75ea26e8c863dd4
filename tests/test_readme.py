"""What the README and CONTRIBUTING promise: the code runs and prints what it says, paths and extras exist."""

from __future__ import annotations

import pathlib
import re
import runpy
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def program(text: str) -> str:
    """All Python blocks as one program whose line numbers are the document's."""
    inside = False
    lines = []
    for line in text.splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line == "```python" if fence else inside
    return "\n".join(lines) + "\n"


def test_code_prints_what_it_says(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "readme.py"
    script.write_text(program(README))
    runpy.run_path(str(script))
    promised = re.findall(r"^print\(.*\)  # (.*)$", program(README), flags=re.MULTILINE)
    assert promised
    assert capsys.readouterr().out.splitlines() == promised


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
    missing = [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()]
    assert not missing


def test_extras_and_commands_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r'"\.\[(\w+)\]"', README + CONTRIBUTING))
    assert {"examples", "test"} <= named <= set(project["optional-dependencies"])
    for script in re.findall(r"python ((?:examples|bench)/\w+\.py)", README):
        assert (ROOT / script).is_file()
    assert 'pip install --quiet --disable-pip-version-check -e ".[test]"' in (ROOT / ".ci" / "run").read_text()


def test_contributing_stays_short() -> None:
    assert len(CONTRIBUTING.splitlines()) <= 100

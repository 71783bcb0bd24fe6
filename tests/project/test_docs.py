"""The documents say what the program does, and nothing that it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from typer.core import TyperGroup

import connector
from connector.cli import exits
from connector.cli.commands import app
from connector.domain.errors import ConnectorError, ParkReason
from connector.domain.policy import Rule
from tests.project.files import ROOT, project_files, pyproject, table, text


def declared() -> dict[str, Any]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(group.commands)


def documented() -> dict[str, str]:
    """Each command of README's table → the cell that names it, all its rows together."""
    found: dict[str, str] = {}
    for cell, _ in table("README.md", "Commands"):
        (named,) = re.findall(r"`([a-z|-]+)", cell)
        # `held list|release` is one command with several parts, `pause|resume` are two commands.
        for name in named.split("|"):
            found[name] = f"{found.get(name, '')} {cell}"
    return found


def test_readme_lists_every_command_and_no_other() -> None:
    assert set(documented()) == set(declared())


@pytest.mark.parametrize("name", sorted(declared()))
def test_readme_names_the_parts_of_a_command(name: str) -> None:
    command = declared()[name]
    if isinstance(command, TyperGroup):
        words = set(re.findall(r"[a-z-]+", documented()[name]))
        assert set(command.commands) <= words


def test_readme_names_every_way_to_run() -> None:
    options = {option for parameter in declared()["run"].params for option in parameter.opts}
    in_readme = set(re.findall(r"--[a-z-]+", documented()["run"]))
    assert in_readme == options - {"--debug", "--help", "-h"}


def test_readme_has_the_two_commands_first() -> None:
    block = text("README.md").split("```")[1]
    assert re.findall(r"^make (\w+)", block, re.MULTILINE) == ["demo", "test"]


def test_every_exit_status_is_documented() -> None:
    statuses = {
        value for name, value in vars(exits).items() if name.isupper() and type(value) is int
    }
    assert {int(row[0]) for row in table("README.md", "Exit statuses")} == statuses


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = re.escape(heading.split(" ")[0])
    parts = re.split(rf"^{re.escape(heading)}$", text(name), maxsplit=1, flags=re.MULTILINE)
    assert len(parts) == 2, f"{name} has no {heading!r}"
    return re.split(rf"^#{{1,{level.count('#')}}} ", parts[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("reason", ParkReason)
def test_every_reason_to_park_a_user_has_its_paragraph(reason: ParkReason) -> None:
    assert len(section("docs/troubleshooting.md", f"### `{reason}`").split()) >= 10


def test_every_kind_of_error_is_documented_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(\w+)`", section("docs/troubleshooting.md", "## Kinds of errors"), re.M
    )
    assert sorted(rows) == sorted(kind.__name__ for kind in ConnectorError.__subclasses__())


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_of_the_policy_is_documented(rule: Rule) -> None:
    assert f"| `{rule}` |" in section("docs/policy.md", "## The rules, in order")


def test_every_command_is_met_in_the_documents_for_users() -> None:
    """By its name in code, in a page that says when to use it."""
    pages = "\n".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    code = set(
        re.findall(r"[a-z][a-z-]+", " ".join(re.findall(r"```.*?```|`[^`\n]+`", pages, re.S)))
    )
    assert set(declared()) <= code


def test_the_map_has_every_folder_and_no_other() -> None:
    mapped = {row[0].strip("`") for row in table("ARCHITECTURE.md", "Folders")}
    assert {name for name in mapped if not (ROOT / name).exists()} == set()
    packages = {f"connector/{p.parent.name}/" for p in (ROOT / "connector").glob("*/__init__.py")}
    top = {f"{path.relative_to(ROOT).parts[0]}/" for path in project_files() if path.parent != ROOT}
    assert packages <= mapped
    assert top - {"connector/", ".ci/"} <= mapped


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_module_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"`((?:[\w-]+/)+[\w.-]*)`", text(name)))
    assert named != set()
    places = (ROOT, ROOT / "connector", ROOT / "connector/store", ROOT / "tests")
    assert {n for n in named if not any((place / n).exists() for place in places)} == set()


def test_every_invariant_has_its_test() -> None:
    names = {row[3].strip("`") for row in table("ARCHITECTURE.md", "Invariants")}
    assert len(names) == 8
    tests = ROOT / "tests/behaviour/test_invariants.py"
    defined = re.findall(r"def test_(\w+)", tests.read_text())
    assert {name for name in names if not any(test.startswith(name) for test in defined)} == set()


def test_changelog_has_this_version() -> None:
    version = pyproject()["project"]["version"]
    assert connector.__version__ == version
    assert f"\n## {version}" in text("CHANGELOG.md")


def test_every_dependency_has_its_reason() -> None:
    project = pyproject()
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.match(r"[\w.-]+", item).group() for item in wanted}  # type: ignore[union-attr]
    reasons = text("docs/adr/0003-dependencies.md")
    rows = "\n".join(line.split("|")[1] for line in reasons.splitlines() if line.startswith("|"))
    assert names == set(re.findall(r"[\w.-]+", rows)) & names


def markdown() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in markdown():
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = (page.parent / target) if target else page
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_and_listed() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    index = text("docs/index.md")
    for number, path in enumerate(decisions, 1):
        lines = path.read_text().splitlines()
        assert lines[0].startswith(f"# {number}. ")
        assert lines[2].startswith("Status: ")
        assert f"(adr/{path.name})" in index


def test_every_page_for_users_is_in_the_index() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in text("docs/index.md")} == set()


def test_every_target_of_make_has_a_word_of_help() -> None:
    makefile = text("Makefile")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())  # type: ignore[union-attr]
    helped = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert helped == targets - {"venv"}
    named = {
        target
        for page in markdown()
        for line in page.read_text().splitlines()
        for target in re.findall(r"(?:^|`)make ([a-z]+)", line)
    }
    assert named <= targets

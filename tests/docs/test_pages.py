"""What README and docs show must exist as written: commands, options, targets, scripts, extras, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import dmdd_edge
from dmdd_edge.cli.main import app
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT

README = ROOT / "README.md"
PROGRAM: Any = get_command(app)
LONGEST_README = 180
LARGEST_IMAGE = 150_000
#: Options that belong to other programs.
FOREIGN_OPTIONS = {
    "--disable-usage-stats",
    "--list-formats-ext",
    "--network",
    "--no-deps",
    "--strict",
    "--system-site-packages",
}
#: Variables of the program that no user sets.
INTERNAL_VARIABLES: set[str] = set()


def parse(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    """Let the program's own parser read a command without running it; it raises on what it does not know."""
    with command.make_context(name, list(arguments), parent=parent) as context:
        if not hasattr(command, "resolve_command"):
            return
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if rest:
            inner_name, inner, inner_arguments = command.resolve_command(context, rest)
            parse(inner, inner_name, inner_arguments, context)


def every_option(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from every_option(inner)


def named_options(page: Path) -> set[str]:
    """The options in a page's inline code, those of make's and pip's lines left out."""
    code = re.findall(r"`([^`\n]+)`", pages.prose(page))
    ours = [text for text in code if not text.startswith(("python ", "pip ", "v4l2-ctl "))]
    return {option for text in ours for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}


def test_readme_shows_the_whole_way() -> None:
    shown = {pages.words(line)[1] for line in pages.shell_lines(README) if line.startswith("dmdd-edge ")}
    assert {"train", "export", "run", "calibrate"} <= shown
    assert len(pages.text(README).splitlines()) <= LONGEST_README


def test_the_guides_show_every_command() -> None:
    shown = {pages.words(line)[1] for line in pages.our_commands()}
    assert {
        "train",
        "evaluate",
        "export",
        "run",
        "models",
        "calibrate",
        "bench",
        "doctor",
        "station",
    } <= shown


@pytest.mark.parametrize("line", pages.our_commands())
def test_a_command_is_read_by_the_program_as_written(line: str) -> None:
    parse(PROGRAM, "dmdd-edge", pages.words(line)[1:])


@pytest.mark.parametrize(
    "wrong", ["train --no-such-option", "no-such-command", "run --every none --source x"]
)
def test_the_check_itself_refuses_what_does_not_exist(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|is not a whole number"):
        parse(PROGRAM, "dmdd-edge", wrong.split())


def test_options_named_in_the_prose_exist() -> None:
    named = set().union(*(named_options(page) for page in PAGES))
    known = {"--help", "--version", *every_option(PROGRAM)}
    assert len(named) > 60
    assert named - known - FOREIGN_OPTIONS == set()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    in_blocks = {
        word
        for line in pages.all_lines()
        if pages.words(line)[0] == "make"
        for word in pages.words(line)[1:]
        if "=" not in word
    }
    in_prose = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)`", pages.prose(page))}
    assert in_blocks | in_prose <= targets


def test_scripts_and_folders_exist() -> None:
    scripts = {word for line in pages.all_lines() for word in pages.words(line) if word.endswith(".py")}
    scripts |= {pages.words(line)[1] for line in pages.all_lines() if line.startswith("python benchmarks")}
    pattern = r"`((?:train|export|runtime|tests|benchmarks|dmdd_edge|docs)/[\w./-]*)`"
    named = {path for page in PAGES for path in re.findall(pattern, pages.prose(page))}
    assert {name for name in scripts | named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_links_images_and_anchors_exist(page: Path) -> None:
    for file, anchor in pages.links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), f"{pages.name(page)} links to {file}"
        if anchor:
            assert anchor in pages.anchors(target), f"{pages.name(page)} links to {file}#{anchor}"


def test_images_are_small_and_used() -> None:
    images = {path for path in (ROOT / "docs" / "images").iterdir() if path.is_file()}
    used = {(page.parent / file).resolve() for page in PAGES for file, _ in pages.links(page)}
    assert images - used == set()
    assert {path.name: size for path in images if (size := path.stat().st_size) > LARGEST_IMAGE} == {}


def test_diagrams_are_as_their_script_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_diagrams

    drawn = make_diagrams.IMAGES
    monkeypatch.setattr(make_diagrams, "IMAGES", tmp_path)
    make_diagrams.main()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in drawn.glob("*.svg"))
    assert all((tmp_path / name).read_bytes() == (drawn / name).read_bytes() for name in names)


def test_extras_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = pyproject.split("[project.optional-dependencies]")[1].split("\n[")[0]
    known = set(re.findall(r"^([a-z]+) = \[", table, re.MULTILINE))
    everything = "\n".join(map(pages.text, PAGES))
    groups = re.findall(r"'(?:\.|dmdd-edge)\[([a-z,]+)\]'", everything)
    named = {extra for group in groups for extra in group.split(",")}
    assert named <= known
    assert known - named == {"dev"}


def test_the_jetson_recipes_name_every_dependency_but_opencv() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = pyproject.split("\ndependencies = [")[1].split("]")[0]
    needed = {name: "python_version < '3.11'" in rest for name, rest in re.findall(r'"([\w-]+)(.*)"', table)}
    assert needed.pop("opencv-python") is False  # JetPack's own has GStreamer
    recipes = [code for code in pages.blocks(ROOT / "docs" / "install.md", "bash") if "--no-deps ." in code]
    assert len(recipes) == 2
    six, seven = recipes
    assert [name for name in needed if f"'{name}>" not in six] == []
    assert [name for name, old_python in needed.items() if not old_python and f"'{name}>" not in seven] == []


def test_variables_are_documented_and_exist() -> None:
    folders = ("dmdd_edge", "train", "export", "runtime")
    code = {
        variable
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for variable in re.findall(r"[\"'](DMDD_[A-Z_]*[A-Z])[\"']", path.read_text(encoding="utf-8"))
    }
    page = pages.text(ROOT / "docs" / "reference" / "environment.md")
    for_tests = {"DMDD_DATA", "DMDD_CHROMIUM", "DMDD_CAMERA_FPS"}
    documented = set(re.findall(r"DMDD_[A-Z_]*[A-Z]", page))
    assert code - documented - INTERNAL_VARIABLES == set()
    assert documented - for_tests - code == set()


def test_the_python_of_the_pages_is_valid_and_its_imports_exist() -> None:
    examples = [(page, code) for page in PAGES for code in pages.blocks(page, "python")]
    assert {README} <= {page for page, _ in examples}
    for page, code in examples:
        compile(code, pages.name(page), "exec")
        imports = [line for line in code.splitlines() if re.match(r"(from|import) ", line)]
        exec("\n".join(imports), {})


def test_the_page_of_python_lists_the_public_names_and_no_others() -> None:
    page = pages.text(ROOT / "docs" / "reference" / "python.md")
    listed = re.findall(r"^::: dmdd_edge\.(\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(dmdd_edge.__all__) - {"__version__"})


def test_the_reference_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import make_reference

    filled = make_reference.filled
    old = [page.name for page in make_reference.pages() if filled(pages.text(page)) != pages.text(page)]
    assert old == [], "run python docs/make_reference.py"


def test_the_page_of_python_says_what_each_name_is() -> None:
    page = pages.text(ROOT / "docs" / "reference" / "python.md")
    described = re.findall(r"^\| `(\w+)` \| \S", page, re.MULTILINE)
    assert described == re.findall(r"^::: dmdd_edge\.(\w+)$", page, re.MULTILINE)


def test_the_page_of_the_command_line_has_every_option() -> None:
    page = pages.text(ROOT / "docs" / "reference" / "cli.md")
    names = {name for name, inner in PROGRAM.commands.items() if not inner.hidden}
    assert {name for name in names if f"## dmdd-edge {name}\n" not in page} == set()
    shown = set(re.findall(r"`(--[a-z-]+)`", page))
    visible = {
        option
        for inner in PROGRAM.commands.values()
        for parameter in inner.params
        if not getattr(parameter, "hidden", False)
        for option in parameter.opts
        if option.startswith("--")
    }
    assert visible - shown - {"--help"} == set()

"""One name, one thing: classes, the words for strategies, and files that docs and docstrings name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "finegrid"
# Names that two classes may have, and why.
SHARED: Mapping[str, str] = {
    "Loss": "a strategy is called as its part of the recipe; what a comparison loses is another thing",
    "Contrast": "a strategy is called as its part of the recipe; statistics compare levels by contrasts",
    "Noise": "of scores, in statistics; as a strategy it is called as its part is",
    "Study": "users of Python have one by its folder; inside it is what the folder says, checked",
    "Verdict": "what users of Python get of it is tables and words",
    "Recommendation": "as Verdict",
    "Comparison": "of systems, to users of Python; statistics compare levels",
    "Classifier": "to users of Python a kept model with its tokeniser; inside the module of torch",
}

# Strategy and factor are the words; history keeps the old ones.
OTHER_WORDS = re.compile(r"(?<![A-Za-z])(?:tricks?|knobs?)(?![a-z])", re.IGNORECASE)
HISTORY = {"CHANGELOG.md", "docs/decisions.md", "tests/test_names.py"}

# Participles that functions were called by. A function is a verb: `format_level`, `count_noun`, `quote`.
PARTICIPLES = frozenset(
    [
        "told",
        "said",
        "shown",
        "spelled",
        "written",
        "counted",
        "listed",
        "named",
        "settled",
        "known",
        "marked",
        "escaped",
        "found",
        "taken",
    ]
)
# Functions that still are, by file.
STILL: Mapping[str, set[str]] = {
    "model/kernels/fused.py": {"told"},
    "report/page/bilingual.py": {"marked"},
    "report/page/numerals.py": {"known"},
    "running/progress/show.py": {"said", "found"},
    "running/progress/study_progress.py": {"said", "found", "_taken"},
    "statistics/decide.py": {"settled"},
}

PYTHON_FILE = r"(?:[\w-]+/)*[\w-]+\.py"
IN_PROSE = re.compile(rf"(?<![\w/<-])(?:\.\./)*({PYTHON_FILE})\b")
IN_BACKTICKS = re.compile(rf"(`{{1,2}})({PYTHON_FILE})\1(?!`)")
# Of transformers; of a house made up by a test; what a guide lets its reader write.
ELSEWHERE = {"run_mlm.py", "cellar/rack.py", "centre.py", "my-study/centre.py"}


def tracked_files() -> list[str]:
    """What git has or would have, by path from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if (ROOT / path).is_file()]


def read_texts(
    files: Iterable[str], folders: Sequence[str], endings: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Path and text of the files in some folders of the root that end in one of the endings."""
    for path in files:
        if path.partition("/")[0] in folders and path.endswith(tuple(endings)):
            yield path, (ROOT / path).read_text(encoding="utf-8")


def find_shared_classes(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Names that several classes have, and the files of these."""
    files = defaultdict(list)
    for path, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                files[node.name].append(path)
    return {name: paths for name, paths in files.items() if len(paths) > 1}


def find_participles(text: str) -> set[str]:
    """Functions of a file that are called by a participle alone."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}
    return {name for name in names if name.strip("_") in PARTICIPLES}


def count_matches(name: str, files: Iterable[str]) -> int:
    """How many files a path means that may leave out folders in front."""
    return sum(path == name or path.endswith(f"/{name}") for path in files)


@pytest.fixture(scope="module")
def files() -> list[str]:
    return tracked_files()


def test_no_two_classes_share_a_name() -> None:
    texts = {
        path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")
    }

    shared = find_shared_classes(texts)

    assert {name: paths for name, paths in shared.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(shared), "no longer shared: take the name out of the list"


def test_a_shared_name_is_found() -> None:
    texts = {"a.py": "class Rows: ...", "b.py": "def make():\n    class Rows: ...", "c.py": "class Row: ..."}

    assert find_shared_classes(texts) == {"Rows": ["a.py", "b.py"]}


def test_strategy_and_factor_are_the_only_words(files: list[str]) -> None:
    folders = ("src", "tests", "benchmarks", "scripts", "docs")
    endings = (".py", ".md", ".jinja", ".js", ".css", ".sh", ".toml")
    texts = [text for text in read_texts(files, folders, endings) if text[0] not in HISTORY]

    offenders = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts
        for number, line in enumerate(text.splitlines(), start=1)
        if OTHER_WORDS.search(line)
    ]

    assert offenders == []


@pytest.mark.parametrize(
    "line", ["a trick", "TRICKS = []", "knob_summary(part)", "class FreezeTrick:", "Knobs"]
)
def test_the_other_words_are_found(line: str) -> None:
    assert OTHER_WORDS.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", line))


def test_functions_are_not_called_by_participles() -> None:
    participles = {
        path.relative_to(SOURCE).as_posix(): find_participles(path.read_text(encoding="utf-8"))
        for path in SOURCE.rglob("*.py")
    }

    participles = {path: names for path, names in participles.items() if names}

    assert participles == STILL, "rename what is new; take what is gone out of the list"


def test_participles_are_found() -> None:
    assert find_participles("def told(): ...\nasync def _said(): ...\ndef tell(): told = 1") == {
        "told",
        "_said",
    }


def test_files_that_docs_name_are_there(files: list[str]) -> None:
    """Each by a path that can mean one file alone."""
    pages = [page for page in read_texts(files, ("docs",), (".md",)) if page[0] not in HISTORY]

    offenders = [
        f"{page}: {name} means {count} files"
        for page, text in pages
        for name in sorted(set(IN_PROSE.findall(text)) - ELSEWHERE)
        if (count := count_matches(name, files)) != 1
    ]

    assert offenders == []


def test_files_that_docstrings_and_comments_name_are_there(files: list[str]) -> None:
    texts = read_texts(files, ("src", "tests", "benchmarks", "scripts"), (".py",))

    offenders = [
        f"{path}: {name}"
        for path, text in texts
        for name in sorted({name for _, name in IN_BACKTICKS.findall(text)} - ELSEWHERE)
        if path not in HISTORY and not count_matches(name, files)
    ]

    assert offenders == []


def test_files_that_are_not_there_are_found() -> None:
    files = [
        "src/finegrid/model/kernels/fused.py",
        "src/finegrid/audit/costs.py",
        "src/finegrid/verdict/costs.py",
    ]

    assert [count_matches(name, files) for name in ("model/fused.py", "kernels/fused.py", "costs.py")] == [
        0,
        1,
        2,
    ]
    assert IN_PROSE.findall("see `effects.py`, model/a.py and [x](../src/b.py)") == [
        "effects.py",
        "model/a.py",
        "src/b.py",
    ]
    assert IN_BACKTICKS.findall("`one.py` and ``two/three.py`` but not four.py") == [
        ("`", "one.py"),
        ("``", "two/three.py"),
    ]

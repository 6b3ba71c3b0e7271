"""The paths of a study folder are spelled in one module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import finegrid
from finegrid.study.folder import StudyFolder

SOURCE = Path(finegrid.__file__).parent
SPELLS = SOURCE / "study" / "folder.py"
ALLOWED = {
    ("metrics.py", "study.toml"),  # refuses a score before any folder is known, and names where it stands
    ("strategies/lora.py", "study.toml"),  # refuses a level once layers are seen, and knows no folder
    ("report/page/words.py", "report.json"),  # the name on the page
    ("study/schema.py", "study.toml"),  # a title
    ("facts/decision_words.py", "looks.jsonl"),  # names the file of a word, and knows no folder
}
FILES = re.compile(
    r"(?<![\w.])(study\.toml|split\.tsv|audit\.json|runs\.jsonl|screen\.json|looks\.jsonl|imported\.json"
    r"|progress\.json|report\.(json|html)|(train|dev|test)\.jsonl)(?![\w.])"
    r"|confirm-|worker-|frozen-|^(predictions|state|cache|logs|models)/|\.safetensors\.tmp"
)
FOLDERS = {"predictions", "state", "cache", "logs", "models", "export", ".lock", ".lease"}


def path_literals(tree: ast.AST) -> Iterator[str]:
    """String literals that could be paths, those of f-strings included: no sentence, and no URL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.search(r"\s", node.value) or node.value.startswith("/"):
                continue
            yield node.value


def joined_literals(tree: ast.AST) -> Iterator[str]:
    """String literals that are joined to a path: ``folder / "cache"``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            right = node.right
            if isinstance(right, ast.JoinedStr):
                right = right.values[0]
            if isinstance(right, ast.Constant) and isinstance(right.value, str):
                yield right.value


def misspelled(text: str) -> set[str]:
    tree = ast.parse(text)
    files = {literal for literal in path_literals(tree) if FILES.search(literal)}
    return files | {literal for literal in joined_literals(tree) if literal in FOLDERS}


def test_only_the_study_folder_spells_its_paths() -> None:
    offenders = {
        (path.relative_to(SOURCE).as_posix(), literal)
        for path in SOURCE.rglob("*.py")
        if path != SPELLS
        for literal in misspelled(path.read_text(encoding="utf-8"))
    }

    assert offenders == ALLOWED


def test_the_scan_finds_what_would_be_spelled_elsewhere() -> None:
    assert misspelled('folder / "runs.jsonl"') == {"runs.jsonl"}
    assert misspelled('folder / "cache"') == {"cache"}
    assert misspelled('folder / f"confirm-{name}"') == {"confirm-"}
    assert misspelled('folder.glob("confirm-*")') == {"confirm-*"}
    assert not misspelled('say("look into runs.jsonl"); facts["state"]; Route("/progress.json")')


def test_every_path_of_the_folder_is_another_one_inside_it() -> None:
    files = StudyFolder(Path("study"))
    named = [value for value in vars(StudyFolder).values() if isinstance(value, property)]
    paths = [path for value in named if isinstance(path := value.fget(files), Path)]  # type: ignore[misc]
    paths += [files.texts("dev"), files.predictions_of("a"), files.state_of("a"), files.log_of(1)]
    paths += [files.frozen_prefix("a", "first"), files.frozen_prefix_lock("a"), files.confirmation("a")]
    paths += [files.figure("forest", "svg")]

    assert len(set(paths)) == len(paths) > 20
    assert all(path.is_relative_to("study") for path in paths)

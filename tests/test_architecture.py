"""Who may import whom, and who may know what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import finegrid

SOURCE = Path(finegrid.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
SLOW = ("torch", "transformers", "pyarrow", "tokenizers", "sklearn")
# What `plan`, `status` and `table` need. Nothing after the ledger imports torch.
LIGHT = [
    "aliases",
    "board",
    "budget",
    "budget_time",
    "budget_words",
    "spread",
    "confounding",
    "design",
    "duration",
    "export.content",
    "export.csv_file",
    "export.event_files",
    "export.export",
    "export.extras",
    "export.frame",
    "export.mlflow_runs",
    "export.names",
    "export.parquet_file",
    "export.tables",
    "fraction",
    "cli",
    "screen",
    "screening",
    "study",
    "recipe",
    "plan",
    "audit",
    "runner",
    "ledger",
    "import_levels",
    "import_roles",
    "import_rows",
    "imported",
    "imported_table",
    "importing",
    "examples",
    "fit",
    "fitted",
    "phases",
    "predict",
    "pretraining.card",
    "pretraining.corpus",
    "pretraining.schedule",
    "pretraining.settings",
    "table",
    "verdict",
    "verdict_words",
    "metrics",
    "effects",
    "best",
    "costs",
    "power",
    "presets",
    "progress",
    "pulse",
    "terminal",
    "watch.app",
    "watch.serve",
    "report.charts",
    "report.figures",
    "report.markdown",
    "report.page",
    "report.palette",
    "report.written",
    "worker",
]


def imported(module: str) -> set[str]:
    program = f"import sys, finegrid.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["cli", "worker"])
def test_these_answer_at_once(module: str) -> None:
    assert not imported(module) & {*SLOW, "scipy"}


def test_modules_before_and_after_training_do_not_import_torch() -> None:
    program = "import sys; " + "; ".join(f"import finegrid.{module}" for module in LIGHT)
    program += f"; print(*(set(sys.modules) & {set(SLOW)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def names(path: Path) -> set[str]:
    """Imported modules, and attributes with the name they are taken from: ``torch.load``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_unpickles_or_executes(path: Path) -> None:
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch.load", "os.system"}
    assert not names(path) & forbidden
    text = path.read_text(encoding="utf-8")
    for wrong in (
        r"allow_pickle\s*=\s*True",
        r"weights_only\s*=\s*False",
        r"trust_remote_code\s*=\s*True",
        r"shell\s*=\s*True",
        r"(?<![\w.])(eval|exec)\(",
    ):
        assert not re.search(wrong, text), wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrays_are_read_without_pickle(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            assert "allow_pickle=False" in ast.unparse(node)


HUGGING_FACE = re.compile(
    r"\.(encoder\.layer|transformer\.layer|layer\[|attention\.(self|output)\b|intermediate\.|q_lin|ffn\b|sa_layer_norm"
    r"|LayerNorm\.|word_embeddings|embeddings_project)"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_anatomy_spells_attribute_paths_of_models(path: Path) -> None:
    found = HUGGING_FACE.search(path.read_text(encoding="utf-8"))

    assert (found is not None) == (path.relative_to(SOURCE).as_posix() == "model/anatomy.py")


def test_there_is_no_utils_module() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "misc", "registry"}


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "strategies").glob("[a-z]*.py")), ids=lambda path: path.stem
)
def test_every_strategy_has_a_card(path: Path) -> None:
    if path.stem == "base":
        return
    card = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""

    assert all(re.search(rf"^{word} ", card, re.M) for word in ("Paper", "Idea", "Off"))

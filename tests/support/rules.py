"""Rules of the source as functions of a folder of modules: each lists the places that break it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from rooms import find_modules, room_of

from finegrid.recipe.card import HEADINGS

UNSAFE_NAMES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch.load", "os.system"}
UNSAFE_CODE = re.compile(
    r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|trust_remote_code\s*=\s*True|shell\s*=\s*True"
    r"|(?<![\w.])(eval|exec)\("
)
HUGGING_FACE = re.compile(
    r"\.(encoder\.layer|transformer\.layer|layer\[|attention\.(self|output)\b|intermediate\.|q_lin|ffn\b|sa_layer_norm"
    r"|LayerNorm\.|word_embeddings|embeddings_project)"
)

# Imports each module that standard input names, while every import of a package named as an argument fails.
# Prints how it came to that: "module > module > package".
IMPORT_EACH = """
import importlib, sys
class Refusal(ImportError): ...
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            importers, frame = [name], sys._getframe(1)
            while frame := frame.f_back:
                importer = frame.f_globals.get("__name__", "")
                if importer.partition(".")[0] == package and importer != importers[0]:
                    importers.insert(0, importer)
            print(*importers, sep=" > ")
            raise Refusal(name)
sys.meta_path.insert(0, Guard())
for module in sys.stdin.read().split():
    package = module.partition(".")[0]
    try:
        importlib.import_module(module)
    except Refusal:
        pass
"""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstring(path: Path) -> str:
    return ast.get_docstring(parse(path)) or ""


def python_files(source: Path) -> Iterator[tuple[str, Path]]:
    """Every file of Python in a folder, by its name there."""
    for path in sorted(source.rglob("*.py")):
        yield path.relative_to(source).as_posix(), path


def find_lines(source: Path, breaks: Callable[[ast.AST], bool]) -> list[str]:
    """``file:line`` of all syntax that breaks a rule."""
    return [
        f"{name}:{getattr(node, 'lineno', 1)}"
        for name, path in python_files(source)
        for node in ast.walk(parse(path))
        if breaks(node)
    ]


def slow_imports(modules: Collection[str], packages: Collection[str], path: Path) -> list[str]:
    """How importing one of the modules imports one of the packages: ``module > module > package``."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *packages],
        input=" ".join(modules),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(path)},
    )
    return sorted({*done.stdout.splitlines()})


def faces_of(source: Path) -> dict[str, set[str]]:
    """By room the modules that other rooms may import: those in backticks after "Others import"."""
    faces = {}
    for path in sorted(source.rglob("*/__init__.py")):
        words = docstring(path).partition("Others import ")[2]
        faces[path.parent.relative_to(source).as_posix()] = {*re.findall(r"(?<!`)`(\w+)`(?!`)", words)}
    return faces


def entrances(graph: Mapping[str, set[str]], source: Path) -> Iterator[tuple[str, str, str]]:
    """Every import from another room than the top: the importing module, that room, its module."""
    for module, imported in sorted(graph.items()):
        for name in sorted(imported):
            room = room_of(name, source)
            if room not in (".", room_of(module, source)):
                yield module, room, name.rpartition(".")[2]


def find_back_doors(graph: Mapping[str, set[str]], source: Path) -> list[str]:
    """Imports of another room's module that its face does not name."""
    faces = faces_of(source)
    return [
        f"{module} imports {room}/{name}"
        for module, room, name in entrances(graph, source)
        if name not in faces[room]
    ]


def find_blind_faces(graph: Mapping[str, set[str]], source: Path) -> list[str]:
    """Modules that a face names, but that are not there or that no other room imports."""
    used = {(room, name) for _, room, name in entrances(graph, source)}
    return [
        f"{room}/{name}"
        for room, face in faces_of(source).items()
        for name in sorted(face)
        if (room, name) not in used
    ]


def find_busy_rooms(source: Path) -> list[str]:
    """Rooms whose ``__init__.py`` is missing, lacks a docstring or holds anything else."""
    folders = sorted({path.parent for path in source.rglob("*.py")} - {source})
    return [
        folder.relative_to(source).as_posix()
        for folder in folders
        if not (folder / "__init__.py").is_file()
        or not docstring(folder / "__init__.py")
        or len(parse(folder / "__init__.py").body) > 1
    ]


def find_relative_imports(source: Path) -> list[str]:
    return find_lines(source, lambda node: isinstance(node, ast.ImportFrom) and node.level > 0)


def names_in(node: ast.AST) -> set[str]:
    """What an import imports; an attribute with the name it is taken from: ``torch.load``."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return {f"{node.value.id}.{node.attr}"}
    return set()


def find_unsafe_code(source: Path) -> list[str]:
    """Where something is unpickled, executed or given to a shell."""
    places = find_lines(source, lambda node: bool(names_in(node) & UNSAFE_NAMES))
    for name, path in python_files(source):
        lines = path.read_text(encoding="utf-8").splitlines()
        places += [f"{name}:{number}" for number, line in enumerate(lines, 1) if UNSAFE_CODE.search(line)]
    return places


def find_pickled_arrays(source: Path) -> list[str]:
    """Where an array is loaded without a word that it holds no pickle."""
    return find_lines(
        source,
        lambda node: (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "np.load"
            and "allow_pickle=False" not in ast.unparse(node)
        ),
    )


def find_trusting_loads(source: Path) -> list[str]:
    """Where a checkpoint is loaded without a word that its own code does not run, and from where it comes.

    Left unsaid, transformers asks on the terminal whether to run it.
    """
    said = ("trust_remote_code=False", "local_files_only=True")
    return find_lines(
        source,
        lambda node: (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(".from_pretrained")
            and not all(word in ast.unparse(node) for word in said)
        ),
    )


def find_model_paths(source: Path) -> list[str]:
    """Files that spell attribute paths of Hugging Face's models."""
    return [n for n, path in python_files(source) if HUGGING_FACE.search(path.read_text(encoding="utf-8"))]


def find_missing_cards(strategies: Collection[Path]) -> list[str]:
    """Strategies whose module docstring lacks a line of the card."""
    return [
        f"{path.name}: {word}"
        for path in strategies
        for word in HEADINGS
        if not re.search(rf"^{word} ", docstring(path), re.M)
    ]


def find_imported_tests(tests: Path) -> list[str]:
    """Where a test imports a test or a conftest; what two of them need lies in ``support``."""

    def imports_a_test(node: ast.AST) -> bool:
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [part for module in modules for part in module.split(".")[:-1] or [module]]
        return any(part.startswith("test_") or part in ("conftest", "tests") for part in parts)

    return find_lines(tests, imports_a_test)


def find_sleeps(tests: Path, but: str) -> list[str]:
    """Where tests sleep instead of waiting for what they want, but in one file."""
    places = find_lines(
        tests,
        lambda node: (
            (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "sleep")
            or (isinstance(node, ast.ImportFrom) and "time.sleep" in names_in(node))
        ),
    )
    return [place for place in places if place.partition(":")[0] != but]


def modules_of(rooms: Collection[str], source: Path, package: str) -> list[str]:
    """All modules of some rooms."""
    return [name for name in find_modules(source, package) if room_of(name, source) in rooms]


def find_strategies_by_name(source: Path, strategies: Collection[str]) -> list[str]:
    """Places that ask a recipe for one strategy, as ``recipe.freeze`` does, and names of its factors."""
    factor = re.compile(rf"({'|'.join(strategies)})\.[a-z_]*")

    def names_one(node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and bool(factor.fullmatch(node.value))
        return (
            isinstance(node, ast.Attribute)
            and node.attr in strategies
            and ast.unparse(node.value).rpartition(".")[2].strip("()") in ("recipe", "Recipe", "baseline")
        )

    return find_lines(source, names_one)

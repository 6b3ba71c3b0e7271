"""Strategies of a user's own: their code is read here, and run here, and nowhere else.

Reading tells what the code is, by its hash. Only who was allowed to runs it: a worker, and the process that
describes strategies for all others.
"""

from __future__ import annotations

import hashlib
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from finegrid.errors import InputError, Problem, first_line
from finegrid.recipe.card import HEADINGS
from finegrid.recipe.described import TYPES, DescribedFactor, Description, LevelFacts, LevelKind, Sign
from finegrid.recipe.recipe import BLANK, describe
from finegrid.spelling import find_near
from finegrid.strategies.part import Aspect, OfLayers, Part, Price
from finegrid.strategies.seams import REACH, TABLE_READINGS, Strategy

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "finegrid.strategies"  # of entry points
MOST_BYTES = 2**20  # of a file
NAME = re.compile(r"[a-z][a-z0-9_]*")
# What only finegrid's own strategies may be: planning, costs and confirmations know these cases.
NOT_OF_ONES_OWN: dict[str, str] = {
    "always": "a strategy that no run is without",
    "free": "a free factor",
    "files": "levels that name files",
    "teachers": "levels that name teachers",
    "start_key": "something dear that runs share",
    "start_seconds": "something dear that runs share",
    "shares_chance": "chance that all seeds share",
    "acts": "another rule for when it is switched on",
}
KINDS: dict[str, LevelKind] = {"boolean": "bool", "integer": "int", "number": "float", "string": "str"}
SIGNS: dict[str, Sign] = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
}
SAID_OF_LEVELS = ("copies", "frozen_layers", "table_reading")


@dataclass(frozen=True)
class OwnCode:
    """The code of a strategy, as it was read."""

    name: str  # of the part of the recipe
    source: str  # as study.toml names it
    digest: str  # SHA-256, in hexadecimal digits
    path: Path  # of the file; of a package, its folder or file
    content: bytes | None = None  # of a file; None: of a package


def read_file(name: str, folder: Path) -> OwnCode:
    """A strategy in a file.

    Args:
        name: as study.toml has it.
        folder: where relative names begin.

    Raises:
        InputError: there is no such file, or none that can hold a strategy.
    """
    path = folder / name
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "No such file")
        if (size := path.stat().st_size) > MOST_BYTES:
            what = f"has {size:,} bytes, expected {MOST_BYTES:,} at most. Is it a strategy?"
            raise InputError(name, [Problem("file", what)])
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        what = f"cannot be read from {folder}: {why}. Correct the name, or put the file there."
        raise InputError(name, [Problem("file", what)]) from None
    part = path.name.removesuffix(".py")
    if path.suffix != ".py" or (problem := find_name_problem(part)):
        what = problem if path.suffix == ".py" else "expected a Python file, such as mine.py."
        raise InputError(name, [Problem("name", what)])
    return OwnCode(part, name, hashlib.sha256(content).hexdigest(), path, content)


def read_installed(name: str) -> OwnCode:
    """A strategy of an installed package, by the name of its entry point. Nothing is imported.

    Raises:
        InputError: there is none, or several.
    """
    found = find_entries(name)
    if len(found) != 1:
        known = sorted({entry.name for entry in find_entries()})
        close = find_near(name, known)
        hint = f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(known) or 'none'}."
        what = f"{len(found) or 'no'} installed packages have an entry point of that name in {GROUP}. {hint}"
        raise InputError(name, [Problem("strategies.installed", what)])
    if problem := find_name_problem(name):
        raise InputError(name, [Problem("strategies.installed", problem)])
    digest, path = hash_package(found[0])
    return OwnCode(name, name, digest, path)


def find_entries(name: str | None = None) -> list[EntryPoint]:
    """The entry points of all installed packages; of that name only, if one is given."""
    from importlib.metadata import entry_points  # takes 20 ms, and few studies name any

    return [entry for entry in entry_points(group=GROUP) if name in (None, entry.name)]


def hash_package(entry: EntryPoint) -> tuple[str, Path]:
    """Of all Python files of the package that an entry point leads to, and where it lies.

    Raises:
        InputError: it is not there.
    """
    top = entry.module.partition(".")[0]
    spec = importlib.util.find_spec(top)  # of a top-level name: imports nothing
    places = [*(spec.submodule_search_locations or ())] if spec else []
    root = Path(places[0]) if places else Path(spec.origin if spec and spec.origin else "")
    files = sorted(root.rglob("*.py")) if places else [root]
    if spec is None or not all(path.is_file() for path in files) or not files:
        what = f"its package {top} cannot be found. Install it again."
        raise InputError(entry.name, [Problem("strategies.installed", what)])
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest(), root


def find_name_problem(name: str) -> str:
    """Why a part of a recipe cannot be called so; empty if it can."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        return f'"{name}" is what its factors would be called after. Expected small letters, as in mine.py.'
    if name in BLANK.parts:
        return f'"{name}" is a part of finegrid\'s own. Give it another name.'
    return ""


class ReadCode(SourceLoader):
    """Gives the importing machinery the bytes that were hashed, whatever the file holds by now."""

    def __init__(self, code: OwnCode) -> None:
        self.code = code

    def get_filename(self, fullname: str) -> str:
        return str(self.code.path)

    def get_data(self, path: str | bytes) -> bytes:
        assert self.code.content is not None
        return self.code.content


def import_strategy(code: OwnCode) -> type[Strategy]:
    """Run the code of a strategy, and check what it defines.

    Raises:
        InputError: with all problems.
    """
    module, wanted = import_module(code)
    own = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Part) and one.__module__ == module.__name__
    ]
    found = [one for one in own if one.__name__ == wanted] if wanted else own
    problems = find_card_problems(module)
    if len(found) != 1:
        names = f" ({', '.join(one.__name__ for one in found)})" if found else ""
        what = f"defines {len(found) or 'no'} strategies{names}, expected one class that inherits Strategy."
        raise InputError(code.source, [Problem("class", what), *problems])
    problems = [*find_class_problems(found[0]), *problems]
    if problems:
        raise InputError(code.source, problems)
    return cast(type[Strategy], found[0])


def import_module(code: OwnCode) -> tuple[ModuleType, str]:
    """Run a module. Returns it, and the name of the class that an entry point asks for.

    Raises:
        InputError: it cannot be run.
    """
    try:
        if code.content is None:
            (entry,) = find_entries(code.name)
            return importlib.import_module(entry.module), entry.attr or ""
        name = f"finegrid_own_{code.name}"  # pydantic looks names up there
        spec = importlib.util.spec_from_file_location(name, code.path, loader=ReadCode(code))
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module, ""
    except SyntaxError as error:
        raise InputError(code.source, [Problem(f"line {error.lineno}", f"{error.msg}.")]) from None
    except (Exception, SystemExit) as error:
        hint = " A strategy is one file: it can import what is installed, and no file beside it."
        what = f"{type(error).__name__}: {first_line(error).rstrip('.')}."
        what += hint if isinstance(error, ModuleNotFoundError) else ""
        raise InputError(code.source, [Problem(find_line(error, code.path), what)]) from None


def find_line(error: BaseException, path: Path) -> str:
    """The last line of a file that led to an error."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"line {lines[-1]}" if lines else "import"


def find_card_problems(module: ModuleType) -> list[Problem]:
    """What its card, the docstring of its module, lacks."""
    card = module.__doc__ or ""
    missing = [word for word in HEADINGS if not re.search(rf"^{word} ", card, re.MULTILINE)]
    if not missing:
        return []
    what = f"no line of the module's docstring begins with {', '.join(missing)}. `finegrid explain fgm`"
    return [Problem("card", f"{what} shows a whole card.")]


def find_class_problems(kind: type[Part]) -> list[Problem]:
    """What is wrong with a strategy, before it is asked to do anything."""
    if not issubclass(kind, Strategy):
        return [Problem(kind.__name__, "found a Part, expected a class that inherits Strategy.")]
    if not is_dataclass(kind) or not is_pydantic_dataclass(kind) or not is_strict(kind):
        what = "expected @dataclass(frozen=True, config=STRICT) of pydantic.dataclasses above it."
        return [Problem(kind.__name__, what)]
    problems = [
        Problem(name, f"found {what}, which a strategy of one's own cannot have. Take it out.")
        for name, what in NOT_OF_ONES_OWN.items()
        if getattr(kind, name) != getattr(Strategy, name)
    ]
    if not fields(kind):
        problems.append(Problem(kind.__name__, "has no factor: a field with a default that switches it off."))
    try:
        kind()
    except (TypeError, ValidationError) as error:
        what = f"every factor needs a default that is allowed: {first_line(error)}."
        return [*problems, Problem(kind.__name__, what)]
    return [*problems, *find_factor_problems(kind), *find_claim_problems(kind)]


def is_strict(kind: type[Any]) -> bool:
    """Whether a dataclass is frozen, and takes no 1 for true."""
    return bool(kind.__dataclass_params__.frozen) and bool(
        getattr(kind, "__pydantic_config__", {}).get("strict")
    )


def find_factor_problems(kind: type[Strategy]) -> Iterator[Problem]:
    """Factors that cannot be written down."""
    for name in factor_names(kind):
        try:
            describe_factor(kind, name)
        except ValueError as error:
            yield Problem(name, f"{error}.")


def find_claim_problems(kind: type[Strategy]) -> Iterator[Problem]:
    """Where what it says of its factors is about none of them, or is no word that finegrid knows."""
    known = factor_names(kind)
    told = {name: [*getattr(kind, name)] for name in ("touches", "prices", "usual", "of_one_set")}
    told["listings"] = [factor for listing in kind.listings for factor in listing.factors]
    for where, names in told.items():
        for name in names:
            if name not in known:
                yield Problem(f"{where}.{name}", f"no such factor. Known: {', '.join(known)}.")
    for name, claim in kind.touches.items():
        for aspect, place in claim.items():
            if aspect not in get_args(Aspect):
                yield Problem(f"touches.{name}", f'found "{aspect}", expected {", ".join(get_args(Aspect))}.')
            end, _, depth = str(place).partition(" ")
            if end in ("top", "bottom") and depth not in known:
                yield Problem(f"touches.{name}", f'"{place}" names no factor that says how many layers.')
    for name, price in kind.prices.items():
        if price not in get_args(Price):
            yield Problem(f"prices.{name}", f'found "{price}", expected {", ".join(get_args(Price))}.')
        elif not kind.shares_prefix and price != "step":
            yield Problem(f"prices.{name}", 'with shares_prefix = False, expected "step".')
    if kind.shifts and kind.shares_prefix:
        yield Problem("shifts", "shares_prefix must be False then: frozen layers make something else of it.")
    if kind.reads_table not in TABLE_READINGS:
        what = f'found "{kind.reads_table}", expected {", ".join(TABLE_READINGS)}.'
        yield Problem("reads_table", what)
    for name, levels in kind.usual.items():
        for level in levels if name in known else ():
            if not isinstance(level, OfLayers) and (why := find_level_problem(kind, name, level)):
                yield Problem(f"usual.{name}", why)


def find_level_problem(kind: type[Strategy], factor: str, level: object) -> str:
    """Why a factor cannot have a level; empty if it can."""
    part: Any = kind()
    try:
        replace(part, **{factor: level})
    except ValidationError as error:
        return describe(error, level)
    return ""


def factor_names(kind: type[Strategy]) -> list[str]:
    return [field.name for field in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass


def describe_factor(kind: type[Strategy], name: str) -> DescribedFactor:
    """A factor as data.

    Raises:
        ValueError: its type is none that data can tell, or nothing says what it is.
    """
    schema: dict[str, Any] = TypeAdapter(kind).json_schema()["properties"][name]
    choices = tuple(schema.get("enum", (schema["const"],) if "const" in schema else ()))
    level_kind = KINDS.get(schema.get("type", ""))
    known = {"type", "enum", "const", "default", "title", "description", *SIGNS}
    if level_kind is None or not schema.keys() <= known or not all(isinstance(one, str) for one in choices):
        expected = "bool, int, float or str, with bounds by Field(ge=, gt=, le=, lt=), or a Literal of words"
        raise ValueError(f"has a type that cannot be written down, expected {expected}")
    if not NAME.fullmatch(name):
        raise ValueError("expected a name of small letters, digits and _")
    if not schema.get("description"):
        raise ValueError('what it is stands nowhere: add Field(description="...")')
    default = TYPES[level_kind](getattr(kind(), name))
    bounds = {sign: schema[key] for key, sign in SIGNS.items() if key in schema}
    return DescribedFactor(
        name=name,
        kind=level_kind,
        default=default,
        description=schema["description"],
        choices=choices,
        bounds=bounds,
    )


def describe_strategy(code: OwnCode, kind: type[Strategy], settings: list[Strategy]) -> Description:
    """All that others need to know of it.

    Args:
        code: of the strategy.
        kind: what it defines.
        settings: at all levels that a study gives it.
    """
    module = sys.modules[kind.__module__]
    return Description(
        name=code.name,
        source=code.source,
        digest=code.digest,
        card=(module.__doc__ or "").strip(),
        factors=tuple(describe_factor(kind, name) for name in factor_names(kind)),
        seams=tuple(seam for seam in REACH if kind.overrides(seam)),
        touches={name: dict(claim) for name, claim in kind.touches.items()},
        prices=dict(kind.prices),
        of_one_set=dict(kind.of_one_set),
        shares_prefix=kind.shares_prefix,
        facts=tuple(list_facts(kind, settings)),
    )


def list_facts(kind: type[Strategy], settings: list[Strategy]) -> Iterator[LevelFacts]:
    """What it says of itself; once, where it says the same at all levels."""
    depends = any(getattr(kind, name) is not getattr(Strategy, name) for name in SAID_OF_LEVELS)
    for one in dict.fromkeys(settings) if depends else [kind()]:
        yield LevelFacts(
            levels={name: getattr(one, name) for name in factor_names(kind)} if depends else {},
            copies=one.copies,
            frozen_layers=one.frozen_layers,
            table_reading=one.table_reading,
        )

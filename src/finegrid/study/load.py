"""``study.toml`` to a Study: all errors of the file at once."""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from finegrid.data.settings import DataSettings
from finegrid.encoders.families import CheckpointInfo, find_cached, find_folder, inspect, resolve
from finegrid.errors import InputError, Problem, input_error
from finegrid.machine import VISIBLE
from finegrid.recipe.catalogue import parts
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import BLANK, Recipe, unknown_factor
from finegrid.spelling import find_near, format_level
from finegrid.study.audit_file import Audit, describe_unfit_audit, load_audit
from finegrid.study.bundle_tables import check_bundles, is_bundle
from finegrid.study.bundles import Bundles
from finegrid.study.design import MOST_ROWS, DesignKind, find_design_problems, plan_rows
from finegrid.study.folder import AUDIT_FILE, IMPORTED_FILE, StudyFolder
from finegrid.study.free import check_free, check_free_levels, split_off_free
from finegrid.study.imported import NOTHING_TO_RUN
from finegrid.study.own_strategies import FindOwn, find_strategies, recall_own
from finegrid.study.plain_files import check_read
from finegrid.study.presets import Preset, make_preset, recall
from finegrid.study.screen import find_screen_problems, load_screen
from finegrid.study.settings import SCHEMA, SCREEN_ON_TEST, DesignSettings, Head, RunSettings
from finegrid.study.study import Study

HALVED = ("freeze.layers", "reinit.layers")  # of presets: half of the layers, or none
MOST_BYTES = 1_000_000  # of study.toml
MOST_NAMES = 200  # in one table of it; there are some 60 factors
USUAL_LAYERS = 12  # of an XLM-RoBERTa base; smaller ones take larger rates
COLLAPSING_RATE = 2e-5  # huggingface/transformers#2599, ThilinaRajapakse/simpletransformers#126
T = TypeVar("T")
Checked = tuple[T, list[Problem]]  # a value, as far as it goes, and what is wrong with it


FindCheckpoint = Callable[[object], Checked[CheckpointInfo | None]]  # given ``model.name``


def load_study(folder: Path, find_own: FindOwn = recall_own) -> Study:
    """Read and check ``study.toml``, with the checkpoint that it names: for who trains.

    Args:
        folder: of the study.
        find_own: what is known of its own strategies; of a worker, they themselves.

    Raises:
        InputError: with all problems of the file.
    """
    check_read(folder)
    return check_study(folder, lambda name: check_checkpoint(name, folder), None, find_own)


def read_study(folder: Path, find_own: FindOwn = recall_own) -> Study:
    """Read and check ``study.toml`` where the model may not be on this machine: for who only reads.

    What is known of the checkpoint then is what ``audit.json`` kept. No network, and nothing is written.

    Args:
        folder: of the study.
        find_own: as of `load_study`.

    Raises:
        InputError: with all problems of the file, or neither the model nor an audit is here.
    """
    check_read(folder)
    audit = load_audit(folder)
    return check_study(folder, lambda name: recall_checkpoint(name, folder, audit), audit, find_own)


def check_study(
    folder: Path, find_checkpoint: FindCheckpoint, audit: Audit | None, find_own: FindOwn = recall_own
) -> Study:
    """Read and check ``study.toml``.

    Args:
        folder: of the study.
        find_checkpoint: what is known of the checkpoint of that name, and what is wrong with it.
        audit: tells the levels of a preset where nothing is known of the checkpoint.
        find_own: as of `load_study`.

    Raises:
        InputError: with all problems of the file.
    """
    files = StudyFolder(folder)
    content = read_toml(files.settings)
    own = find_strategies(content, folder, find_own)
    blank = own.blank
    baseline_levels, of_parts = levels_in(content, blank.parts)
    written = dict(baseline_levels)
    raw_factors, of_factors = factors_in(content, blank.parts)
    head, of_head = check_head(content, blank.parts)
    checkpoint, of_checkpoint = find_checkpoint(name := baseline_levels.pop("model.name", None))
    preset, of_preset = check_preset(head, checkpoint)
    if checkpoint is None and audit is not None and head is not None and not of_checkpoint:
        preset = recall_preset(head.preset, audit)
    if preset is not None:
        baseline_levels = {**preset.baseline, **baseline_levels}
        preset = preset.around(baseline_levels)
        raw_factors = {**preset.table, **raw_factors}
    baseline, of_baseline = check_levels(baseline_levels, blank)
    problems = [*of_parts, *of_factors, *of_head, *of_checkpoint, *of_preset, *of_baseline]
    bundles, of_bundles = check_bundles(raw_factors, baseline, blank)
    # The levels of a bundle are the names of its tables.
    factors = {name: list(levels) if name in bundles else levels for name, levels in raw_factors.items()}
    problems += [*check_factors(factors, bundles, blank), *of_bundles]
    factors, free = split_off_free(factors)
    problems += check_free(baseline_levels, free)
    if not factors and not free and not problems:
        what = 'nothing to vary. Add e.g. "reinit.layers" = [0, 6], or a preset.'
        problems.append(Problem("[factors]", what))
    if head is not None:
        problems += check_design(head, factors)
    if head is not None and baseline is not None:
        problems += check_resampling(head, baseline, factors, bundles)
    if not problems and checkpoint is not None and baseline is not None and head is not None:
        problems += check_combinations(head, baseline, factors, bundles, checkpoint)
        problems += check_free_levels(baseline, free, checkpoint)
    if problems or head is None or baseline is None:
        raise InputError(str(files.settings), list(dict.fromkeys(problems)))
    warnings = [
        *find_other_baselines(written, {**factors, **free}),
        *find_collapse(checkpoint, baseline, factors),
    ]
    study = Study(
        folder,
        head,
        checkpoint,
        preset,
        baseline,
        factors,
        bundles,
        None,
        free,
        str(name),
        tuple(warnings),
        own,
    )
    return with_screen(study)


def find_other_baselines(written: Levels, factors: Mapping[str, Sequence[Level]]) -> Iterator[str]:
    """Where a value that stands in the file is not what the baseline has.

    Args:
        written: the levels that stand in the tables of study.toml.
        factors: with their levels; the first is the baseline's.
    """
    for name, levels in factors.items():
        if name not in written or written[name] == levels[0]:
            continue
        found = format_level(written[name])
        other = "not its first level" if written[name] in levels else "none of its levels"
        yield (
            f"study.toml: {name} = {found}, but it is varied, and {found} is {other}: the baseline has "
            f"{format_level(levels[0])}, the first level. Write the same value in both places."
        )


def find_collapse(
    checkpoint: CheckpointInfo | None, baseline: Recipe, factors: Mapping[str, Sequence[Level]]
) -> Iterator[str]:
    """Recipes with which an XLM-RoBERTa of the usual size often ends with one class for all texts."""
    if checkpoint is None or checkpoint.family != "xlm-roberta" or checkpoint.layers < USUAL_LAYERS:
        return
    rates = factors.get("optimizer.rate", [baseline.optimizer.rate])
    warmups = factors.get("schedule.warmup_ratio", [baseline.schedule.warmup_ratio])
    if (rate := max(map(float, rates))) >= COLLAPSING_RATE and not min(map(float, warmups)):
        yield (
            f"study.toml: optimizer.rate = {rate:g} without a warmup. From {COLLAPSING_RATE:g} on "
            "XLM-RoBERTa often ends with one class for all texts. Set schedule.warmup_ratio to 0.1, or the "
            "rate to 1e-05."
        )


def with_screen(study: Study) -> Study:
    """The study, and what phase 1 has decided where it is a screen.

    Raises:
        InputError: the decision cannot be read, or was made for another study.
    """
    if study.head.design.kind != "screen":
        return study
    screen = load_screen(study.folder)
    if screen is not None and (unfit := find_screen_problems(screen, study.asked)):
        raise InputError(str(study.files.screen), unfit)
    return replace(study, screen=screen)


def override(settings: RunSettings, **given: str | float | None) -> RunSettings:
    """Run settings with what the command line says instead.

    Raises:
        InputError: not a device or precision of ours, or no amount of memory.
    """
    changed = {name: value for name, value in given.items() if value is not None}
    try:
        return settings.overridden(changed)
    except ValidationError as error:
        known = {
            "device": f"cpu or cuda ({VISIBLE} says which GPUs)",
            "precision": "fp32, bf16 or auto",
            "memory": "GiB, more than 0",
        }
        names = [str(item["loc"][0]) for item in error.errors()]
        problems = [Problem(f"--{name}", f"found {given[name]!r}, expected {known[name]}.") for name in names]
        raise InputError("command line", problems) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The content of ``study.toml``.

    Raises:
        InputError: no file, no TOML, or far more than a study has to say.
    """
    try:
        if (size := measure_file(path)) > MOST_BYTES:
            what = f"has {size:,} bytes, expected {MOST_BYTES:,} at most. Is it a study's?"
            raise input_error(str(path.parent), path.name, what)
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if StudyFolder(path.parent).imported.exists():
            what = f"{NOTHING_TO_RUN} {path.parent}"
            raise input_error(str(path.parent), IMPORTED_FILE, what) from None
        what = "no such file. Expected a study folder; `finegrid init` makes one."
        raise input_error(str(path.parent), path.name, what) from None
    except UnicodeDecodeError as error:
        raise input_error(str(path), f"byte {error.start}", "not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise input_error(str(path), "TOML", f"{error}.") from None
    except (RecursionError, ValueError):  # brackets nested without end, numbers of thousands of digits
        raise input_error(str(path), "TOML", "too deep, or a number too long. Is it a study's?") from None
    except OSError as error:
        raise input_error(str(path.parent), path.name, f"cannot be read: {error.strerror}.") from None
    if problems := list(find_long_tables(content)):
        raise InputError(str(path), problems)
    return content


def measure_file(path: Path) -> int:
    """Bytes of a file.

    Raises:
        OSError: there is none; or it is a pipe or a device, which would never end.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise OSError(errno.EINVAL, "expected a file")
    return size


def find_long_tables(content: Mapping[str, Any], name: str = "") -> Iterator[Problem]:
    """Tables with more names than any study has: each name that is wrong costs a search for the right one."""
    if len(content) > MOST_NAMES:
        what = f"{len(content):,} names in one table, expected {MOST_NAMES} at most."
        yield Problem(f"[{name}]", what)
        return
    for key, value in content.items():
        if isinstance(value, dict):
            yield from find_long_tables(value, f"{name}.{key}" if name else key)


def levels_in(content: Mapping[str, Any], parts: Sequence[str] = BLANK.parts) -> Checked[dict[str, Any]]:
    """The baseline, by dotted names: what stands in the tables of the recipe's parts."""
    levels: dict[str, Any] = {}
    problems = []
    for part in sorted(content.keys() & parts):
        table = content[part]
        if isinstance(table, dict):
            levels.update({f"{part}.{field}": level for field, level in table.items()})
        else:
            problems.append(Problem(part, f"found {table!r}, expected a table: [{part}]."))
    return levels, problems


def factors_in(content: Mapping[str, Any], parts: Sequence[str]) -> Checked[dict[str, Any]]:
    """What stands in ``[factors]``. ``[factors.reinit] layers = [0, 6]`` works as well.

    A table of tables is a bundle, and stays one.
    """
    table = content.get("factors", {})
    if not isinstance(table, dict):
        return {}, [Problem("factors", f"found {table!r}, expected a table: [factors].")]
    factors: dict[str, Any] = {}
    for name, levels in table.items():
        nested = (
            {f"{name}.{field}": value for field, value in levels.items()}
            if isinstance(levels, dict) and not is_bundle(name, levels, parts)
            else {}
        )
        factors.update(nested or {name: levels})
    return factors, []


def check_head(content: Mapping[str, Any], parts: Sequence[str] = BLANK.parts) -> Checked[Head | None]:
    """Everything but the recipe's parts and the factors."""
    try:
        head = Head.model_validate(
            {key: value for key, value in content.items() if key not in (*parts, "factors")}
        )
    except ValidationError as error:
        known = [*Head.model_fields, *parts, "factors"]
        by_setting: dict[str, list[str]] = {}
        for item in error.errors():
            problem = head_problem(dict(item), known)
            by_setting.setdefault(problem.where, []).append(problem.what)
        # A setting of several types has a finding for each.
        return None, [Problem(where, " Or: ".join(whats)) for where, whats in by_setting.items()]
    if head.finegrid != SCHEMA:
        what = (
            f"found {head.finegrid}, but this finegrid reads schema {SCHEMA}. Use the version that wrote it."
        )
        return head, [Problem("finegrid", what)]
    return head, []


def head_problem(item: dict[str, Any], known: list[str]) -> Problem:
    """One of pydantic's findings, with "did you mean" for names that do not exist."""
    where = [str(step) for step in item["loc"]]
    if item["type"] == "extra_forbidden":
        names = known
        if where[0] in ("data", "design", "run") and len(where) > 1:
            tables: dict[str, type[BaseModel]] = {
                "data": DataSettings,
                "design": DesignSettings,
                "run": RunSettings,
            }
            table = tables[where[0]]
            names = list(table.model_fields)
        close = find_near(where[-1], names)
        hint = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(names)}."
        return Problem(".".join(where), f"no such setting.{hint}")
    if item["type"] == "missing":
        what = "missing. Expected a [data] table with at least train." if where == ["data"] else "missing."
        return Problem(".".join(where), what)
    if item["type"] == "value_error":
        return Problem(".".join(where), f"{str(item['ctx']['error']).rstrip('.')}.")
    if item["type"] == "model_type":
        return Problem(where[0], f"found {item['input']!r}, expected a table: [{where[0]}].")
    expected = item["msg"].replace("Input should be", "expected")
    return Problem(".".join(where[:2]), f"found {item['input']!r}: {expected}.")


def check_checkpoint(name: object, folder: Path) -> Checked[CheckpointInfo | None]:
    if not isinstance(name, str) or not name:
        what = 'missing. Expected a folder, a hub id, or "mini-zh" (comes with finegrid).'
        return None, [Problem("model.name", what)]
    try:
        return inspect(resolve(name, folder)), []
    except InputError as error:
        inside = "" if error.source == "model.name" else f"{error.source}: "
        return None, [Problem("model.name", f"{inside}{p.where}: {p.what}") for p in error.problems]


def recall_checkpoint(name: object, folder: Path, audit: Audit | None) -> Checked[CheckpointInfo | None]:
    """The checkpoint where its folder is on this machine, else as the audit recalls it.

    A folder of the audited one's name that is not like it is another checkpoint: a copied study has come
    to lie beside it.

    Returns:
        None without a problem where a study was audited, but what its checkpoint is like was not kept.
    """
    if not isinstance(name, str) or not name:
        return check_checkpoint(name, folder)
    kept = None if audit is None or audit.checkpoint is None else audit.checkpoint.as_info()
    with suppress(InputError):
        if (here := find_folder(name, folder)) is not None:
            found = inspect(here)
            stranger = kept is not None and kept.folder.name == here.name and not found.is_like(kept)
            return kept if stranger else found, []
    if kept is not None:
        return kept, []
    with suppress(InputError):
        if (cached := find_cached(name)) is not None:
            return inspect(cached), []
    if audit is not None:
        return None, []
    if find_folder(name, folder) is not None:  # which cannot be used: say why
        return check_checkpoint(name, folder)
    unfit = describe_unfit_audit(folder)
    none = f"no {AUDIT_FILE} is in the folder that says what it is like: the study has not been started"
    what = f'"{name}" is not on this machine, and {unfit or none}. '
    what += "`finegrid run` trains it, where its model and data are."
    return None, [Problem("model.name", what)]


def recall_preset(name: str | None, audit: Audit) -> Preset | None:
    """A preset as the audited rows have it: the layers that they freeze or draw afresh are half of all."""
    if name is None:
        return None
    moved = [row.moved for row in audit.rows]
    half = max((int(levels[factor]) for levels in moved for factor in HALVED if factor in levels), default=1)
    return make_preset(name, recall(2 * half, any("reinit.pooler" in levels for levels in moved)))


def check_preset(head: Head | None, checkpoint: CheckpointInfo | None) -> Checked[Preset | None]:
    if head is None or checkpoint is None or head.preset is None:
        return None, []
    preset = make_preset(head.preset, checkpoint)
    if checkpoint.layers < preset.least_layers:
        return None, [Problem("preset", f"{head.preset} halves the encoder, but it has one layer.")]
    return preset, []


def check_levels(levels: Levels, blank: Recipe) -> Checked[Recipe | None]:
    try:
        return blank.at(levels), []
    except InputError as error:
        return None, [Problem(problem.where.strip('"'), problem.what) for problem in error.problems]


def check_factors(
    factors: Mapping[str, Any], bundles: Collection[str] = (), blank: Recipe = BLANK
) -> list[Problem]:
    """Problems of every level of every factor by itself; combinations come later.

    Args:
        factors: with their levels.
        bundles: those of them that are bundles.
        blank: a recipe that has the study's parts.
    """
    problems: list[Problem] = []
    for name, levels in factors.items():
        if name in bundles:
            continue
        where = f'factors."{name}"'
        if name not in blank.defaults:
            problems.append(Problem(where, unknown_factor(name, blank.defaults)))
            continue
        if not isinstance(levels, list) or len(levels) < 2:
            problems.append(Problem(where, f"found {levels!r}, expected a list of two or more levels."))
            continue
        if len(levels) > MOST_ROWS:
            what = f"{len(levels):,} levels, but a study has {MOST_ROWS:,} rows at most. Take fewer."
            problems.append(Problem(where, what))
            continue
        taken: list[Level] = []
        for level in levels:
            try:
                taken.append(blank.at({name: level}).levels()[name])
            except InputError as error:
                problems.extend(Problem(where, problem.what) for problem in error.problems)
        if len(set(taken)) < len(taken):
            problems.append(Problem(where, f"found {levels!r}: a level stands there twice. Take one out."))
    return problems


def check_design(head: Head, factors: Mapping[str, Any]) -> list[Problem]:
    """Problems of the design with these factors, and with the protocol."""
    design = head.design
    problems: list[Problem] = []
    if all(isinstance(levels, list) for levels in factors.values()):
        problems += find_design_problems(design.kind, design.resolution, factors)
    if design.kind == "screen" and head.protocol == "best-test":
        problems.append(Problem("protocol", SCREEN_ON_TEST))
    if design.pool_test and head.data.test is None:
        what = "found true, but there is no test file: all texts are in the pool. Take it out."
        problems.append(Problem("design.pool_test", what))
    return problems


def find_of_one_set(blank: Recipe) -> dict[str, str]:
    """Factors that ask for one training set, and why."""
    return {
        f"{name}.{factor}": why
        for name, part in parts(blank).items()
        for factor, why in part.of_one_set.items()
    }


def check_resampling(
    head: Head, baseline: Recipe, factors: Mapping[str, Sequence[Level]], bundles: Bundles
) -> list[Problem]:
    """Splits of their own for seeds, and what cannot have them: what asks for texts of one training set."""
    if head.design.resample is None:
        return []
    settings = [settings for bundle in bundles.values() for settings in bundle.levels.values()]
    found = []
    for factor, why in find_of_one_set(baseline.blank).items():
        asked = [baseline.levels()[factor], *factors.get(factor, ())]
        asked += [levels[factor] for levels in settings if factor in levels]
        if any(level != baseline.defaults[factor] for level in asked):
            found.append(Problem("design.resample", f"{factor} {why}. Take one of the two out."))
    return found


def check_combinations(
    head: Head,
    baseline: Recipe,
    factors: Mapping[str, Sequence[Level]],
    bundles: Bundles,
    checkpoint: CheckpointInfo,
) -> list[Problem]:
    """Problems of every row of the design with this checkpoint, each told once."""
    design = head.design
    kind: DesignKind = "full" if design.kind == "screen" else design.kind  # all may survive
    rows = plan_rows(kind, design.resolution, baseline, factors, bundles)
    return list(dict.fromkeys(problem for row in rows for problem in row.recipe.problems(checkpoint)))

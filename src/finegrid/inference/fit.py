"""`finegrid fit`: which recipe is trained, where its model goes, and what came of it in words."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from finegrid.atomic import check_folder, recover
from finegrid.errors import InputError, Problem, input_error
from finegrid.in_chinese import name_state, translate
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import Lang
from finegrid.study.kept_files import FILE
from finegrid.study.record import Record
from finegrid.study.settings import BEST_TEST
from finegrid.study.study import Study
from finegrid.study.toml import parse_level, parse_levels
from finegrid.words import SHARED

ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
GET_ONNX = "pip install 'finegrid[onnx]'"
ENGLISH = {
    "fitted": "run {run} ({rows}seed {seed}): {score} {dev:.4f} on dev, {test:.4f} on test (epoch {epoch} of "
    "{epochs})",
    "rows": "rows {rows}, ",
    "not kept": "no model was kept: the run {status}: {reason}",
}
CHINESE = {
    "fitted": "运行 {run}（{rows}随机种子 {seed}）：{score} 在验证集上 {dev:.4f}，在测试集上 "
    "{test:.4f}（{epochs} 轮中取第 {epoch} 轮）",
    "rows": "第 {rows} 行，",
    "not kept": "没有保存模型：这次运行{status}：{reason}",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
WAYS = 'a row of the table (12), baseline, or levels on top of it ("reinit.layers=6,optimizer.rate=1e-4")'


def find_recipe(study: Study, name: str | None, recommend: Callable[[Study], Recipe | None]) -> Recipe:
    """The recipe that the user names; where there is no name, the recommended one.

    Args:
        study: the study.
        name: a row of its table, ``baseline``, or levels on top of the baseline.
        recommend: tells the recommended recipe of a study; None where no run has finished.

    Raises:
        InputError: no such row, factor or level, nothing the checkpoint can do, or nothing to recommend.
    """
    if not name:
        recommended = recommend(study)
        if recommended is not None:
            return recommended
        what = f"which recipe is to be kept? Pass {WAYS}. finegrid table {study.folder} shows the rows."
        raise input_error("command line", "--recipe", what)
    recipe = parse_recipe(study, name.strip())
    problems = recipe.problems(study.checkpoint)
    if problems:
        raise InputError("--recipe", problems)
    return recipe


def parse_recipe(study: Study, name: str) -> Recipe:
    """The recipe that is called so, whether or not the checkpoint can do it.

    Raises:
        InputError: no such row, factor or level.
    """
    if name == "baseline":
        return study.baseline
    if name.isascii() and name.isdecimal():
        row = int(name[:9])
        if not 1 <= row <= len(study.rows):
            what = f"no row {name}: the table has rows 1 to {len(study.rows)}."
            raise input_error("command line", "--recipe", what)
        return study.rows[row - 1].recipe
    if "=" not in name:
        raise input_error("command line", "--recipe", f'found "{name}", expected {WAYS}.')
    parts = [part for part in name.split(",") if part.strip()]
    of_bundles, problems = bundle_levels(study, parts)
    try:
        plain = [part for part in parts if part.partition("=")[0].strip() not in of_bundles]
        levels = parse_levels(plain, study.blank)
    except InputError as error:
        problems += [Problem(p.where.removeprefix("--set").strip(), p.what) for p in error.problems]
    if problems:
        raise InputError("--recipe", problems)
    return study.recipe_at({**of_bundles, **levels})


def bundle_levels(study: Study, parts: Sequence[str]) -> tuple[dict[str, Level], list[Problem]]:
    """Of ``factor=level`` pairs those of bundles, and what is wrong with them."""
    levels: dict[str, Level] = {}
    problems = []
    for name, equals, text in (part.partition("=") for part in parts):
        if equals and (bundle := study.bundles.get(factor := name.strip())) is not None:
            level = text.strip() if text.strip() in bundle.levels else str(parse_level(text.strip()))
            levels[factor] = level
            if level not in bundle.levels:
                what = f'no level "{level}". Known: {", ".join(bundle.levels)}.'
                problems.append(Problem(factor, what))
    return levels, problems


def fitted_lines(record: Record, score: str, lang: Lang = "en") -> list[str]:
    """What came of it, in words."""
    for level in record.free:  # the one that it was kept at
        record = record.at_free(level)
    dev, test = record.score("dev", score), record.score("test", score)
    numbers = SHARED[lang]["list comma"].join(map(str, record.stands_for))
    line = WORDS[lang]["fitted"].format(
        run=record.run_id,
        rows=WORDS[lang]["rows"].format(rows=numbers) if numbers else "",
        seed=record.seed,
        score=score,
        dev=dev,
        test=test,
        epoch=record.best_epoch,
        epochs=len(record.epochs),
    )
    return [line, translate(BEST_TEST, lang)] if record.protocol == "best-test" else [line]


def not_kept_line(record: Record, lang: Lang = "en") -> str:
    """Why no model of a run was kept, which has diverged or failed."""
    status, reason = name_state(record.status, lang), translate(str(record.reason), lang)
    return WORDS[lang]["not kept"].format(status=status, reason=reason)


def check_onnx_extra() -> None:
    """Refuse an export to ONNX before anything is trained, where its libraries are not there.

    Raises:
        InputError: they are not; says how to get them.
    """
    missing = [name for name in ONNX_LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        what = f"needs {', '.join(missing)}, which this Python does not have. Run: {GET_ONNX}"
        raise input_error("command line", "ONNX", what)


def check_out(out: Path, force: bool) -> Path:
    """The folder to write to, as it really lies.

    Refuse to write over anything, and with ``force`` over anything but a kept model. Make its parent.

    Raises:
        InputError: something is there, or a link.
    """
    check_folder(out)
    out = out.resolve()
    recover(out)
    kept = (out / FILE).exists()
    empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if kept and not force:
        what = f"{out} holds a model already. Choose another --out, or replace it with --force."
        raise input_error("command line", "--out", what)
    if not kept and not empty:
        what = f"{out} is not empty and no model of finegrid's. Choose another --out."
        raise input_error("command line", "--out", what)
    out.parent.mkdir(parents=True, exist_ok=True)
    return out

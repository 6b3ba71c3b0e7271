"""Confirming a verdict: the recommended recipe against the baseline, on seeds (and texts) that chose nothing.

Whatever is chosen as the best of many looks better than it is. A folder ``confirm-<name>`` inside the study
is a small study of its own: two recipes, seeds not used before, and fresh test texts where there are some.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finegrid.atomic import check_folder
from finegrid.data.alike import fold_rows
from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.extra import read_extra, read_unlabelled
from finegrid.data.findings import quote_all
from finegrid.data.table import DataTable, Split
from finegrid.data.unlabelled import UnlabelledTexts, read_texts
from finegrid.errors import InputError, Problem, input_error
from finegrid.facts.verdict import ConfirmedFacts, PairedFacts
from finegrid.metrics import TOLERANCE
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import FILES, TEACHER_FACTORS, Recipe
from finegrid.refusals import saving
from finegrid.results.load import load_results
from finegrid.results.results import Distinct, Results
from finegrid.spelling import Lang, count_noun, expand_user, format_level, json_number
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes
from finegrid.strategies.part import COLUMNS
from finegrid.study.folder import LEDGER_FILE, SETTINGS_FILE, STRATEGIES_FILE, StudyFolder, texts_file
from finegrid.study.load import load_study, read_study
from finegrid.study.own_strategies import StrategiesFile, format_file
from finegrid.study.study import Study
from finegrid.study.toml import by_part, format_toml
from finegrid.verdict.diagnose import shared_chance
from finegrid.verdict.interim import find_recommended
from finegrid.verdict.outcomes import count_points, find_diverged, measure_influence
from finegrid.words import SHARED

BASELINE, RECOMMENDED = "baseline", "recommended"
EXTRA, UNLABELLED = "texts.extra", "pseudo.texts"
GROUP = "group"  # column of a small study's texts

ENGLISH = {
    "against": "{levels}, against the baseline:",
    "before": "  in the study, which chose it: {paired}",
    "fresh": "  on seeds not used before, {texts}: {paired}",
    "fresh texts": "fresh texts",
    "own texts": "the study's test texts",
    "in the study": "in the study",
    "here": "here",
    "paired": "{recommended} against {baseline}, {difference} points ({around}; {seeds})",
    "diverged": "  {where}, {recommended} of {seeds} runs of the recipe diverged, and {baseline} of the "
    "baseline's: they count with the majority class's score",
    "one encoder": "  all these seeds share one pre-trained encoder: intervals leave out its chance",
    "one teacher": "  all these seeds learn from one teacher: intervals leave out its chance",
}
CHINESE = {
    "against": "{levels}，与基线相比：",
    "before": "  在选出它的研究中：{paired}",
    "fresh": "  用没有用过的随机种子，{texts}：{paired}",
    "fresh texts": "新的文本",
    "own texts": "该研究的测试文本",
    "in the study": "在该研究中",
    "here": "在这里",
    "paired": "{recommended}，基线 {baseline}，相差 {difference} 个点（{around}；{seeds}）",
    "diverged": "  {where}，{seeds} 次运行中，该配方有 {recommended} 次发散，基线有 {baseline} 次："
    "按多数类的得分计入",
    "one encoder": "  所有随机种子共用一个预训练编码器：区间不包含它的偶然性",
    "one teacher": "  所有随机种子都向同一个教师模型学习：区间不包含它的偶然性",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


@dataclass(frozen=True)
class Paired:
    """Recommended less baseline, on the same seeds and texts; points."""

    baseline: float
    recommended: float
    difference: float
    interval: Interval  # 95 %
    seeds: int
    texts: int
    baseline_diverged: int = 0  # of its runs in these seeds; they count with the majority class's score
    recommended_diverged: int = 0


@dataclass(frozen=True)
class Confirmation:
    levels: Levels  # what the recommended recipe has that the baseline has not
    before: Paired  # as the study that chose it saw it
    fresh: Paired
    fresh_texts: bool
    shared_encoder: bool  # all seeds have one pre-trained encoder in common
    shared_teacher: bool  # all seeds learn from one teacher

    def as_json(self) -> ConfirmedFacts:
        def paired_json(paired: Paired) -> PairedFacts:
            return {
                "baseline": round(paired.baseline, 6),
                "recommended": round(paired.recommended, 6),
                "difference": round(paired.difference, 6),
                "low": json_number(paired.interval.low),
                "high": json_number(paired.interval.high),
                "seeds": paired.seeds,
                "texts": paired.texts,
                "baseline_diverged": paired.baseline_diverged,
                "recommended_diverged": paired.recommended_diverged,
            }

        return {
            "schema": 1,
            "levels": self.levels,
            "fresh_texts": self.fresh_texts,
            "shared_encoder": self.shared_encoder,
            "shared_teacher": self.shared_teacher,
            "study": paired_json(self.before),
            "fresh": paired_json(self.fresh),
        }

    def lines(self, lang: Lang = "en") -> list[str]:
        """In words."""
        words = WORDS[lang]
        moved = SHARED[lang]["comma"].join(
            f"{name} = {format_level(level)}" for name, level in self.levels.items()
        )
        texts = words["fresh texts" if self.fresh_texts else "own texts"]
        lines = [
            words["against"].format(levels=moved),
            words["before"].format(paired=format_paired(self.before, lang)),
            words["fresh"].format(texts=texts, paired=format_paired(self.fresh, lang)),
        ]
        lines += diverged_lines(words["in the study"], self.before, lang)
        lines += diverged_lines(words["here"], self.fresh, lang)
        lines += [words["one encoder"]] * self.shared_encoder + [words["one teacher"]] * self.shared_teacher
        return lines


def format_paired(paired: Paired, lang: Lang) -> str:
    """``91.20 against 90.00, +1.20 points (+0.40 to +2.00; 5 seeds)``."""
    words = WORDS[lang]
    low, high = paired.interval.low, paired.interval.high
    ends = SHARED[lang]["interval"].format(low=f"{low:+.2f}", high=f"{high:+.2f}")
    return words["paired"].format(
        recommended=f"{paired.recommended:.2f}",
        baseline=f"{paired.baseline:.2f}",
        difference=f"{paired.difference:+.2f}",
        around=ends if paired.interval.is_known else SHARED[lang]["no interval"],
        seeds=count_noun(paired.seeds, "seed") if lang == "en" else f"{paired.seeds} 个随机种子",
    )


def diverged_lines(where: str, paired: Paired, lang: Lang) -> list[str]:
    """How many runs diverged; nothing where none did."""
    if not paired.baseline_diverged + paired.recommended_diverged:
        return []
    return [
        WORDS[lang]["diverged"].format(
            where=where,
            recommended=paired.recommended_diverged,
            baseline=paired.baseline_diverged,
            seeds=paired.seeds,
        )
    ]


def confirm_recommended(
    study: Study,
    count: int,
    test: Path | None,
    margin: float | None,
    train: Callable[[Study, set[int]], None],
    tolerance: float = TOLERANCE,
) -> tuple[Study, Confirmation]:
    """Train what the verdict recommends and the baseline on fresh seeds, and compare the two.

    Args:
        study: the study that recommends.
        count: how many fresh seeds.
        test: a file of fresh labelled texts, or None: the study's own test texts.
        margin: points; smaller differences are none. None: as the verdict chooses it.
        train: trains what is still missing of these rows of a study, counted from 1.
        tolerance: points that a recommended recipe may lose against the baseline.

    Returns:
        The small study that was trained, and what it has shown.

    Raises:
        InputError: no run of the study has finished, the baseline is what it recommends, texts that cannot be
            used, or no seed that has finished with both recipes.
    """
    results = load_results(study)
    chosen = find_recommended(results, margin, tolerance)
    if chosen is None and (left := len(results.missing()["left"])):
        missing = f"{count_noun(left, 'run')} {'is' if left == 1 else 'are'} missing"
        what = f"{missing}, so nothing is recommended yet. `finegrid run` trains the rest."
        raise input_error(str(study.folder), "verdict", what)
    if chosen is None:
        what = "the baseline has no finished run yet. `finegrid run` trains the study."
        raise input_error(str(study.folder), "verdict", what)
    small = load_study(make_small_study(study, results, chosen, count, test))
    train(small, {1, len(small.rows)})  # of its grid, the baseline and what has all levels of the recommended
    return small, compare(results, chosen, small, fresh_texts=test is not None)


def make_small_study(study: Study, results: Results, chosen: Distinct, count: int, test: Path | None) -> Path:
    """Make the folder of the small study, or find the one that an earlier call made. Returns it.

    Args:
        study: the study that chose.
        results: what it has shown.
        chosen: the recipe to confirm.
        count: how many seeds, from the first that is not used.
        test: a file of fresh labelled texts, or None: the study's own test texts.

    Raises:
        InputError: the baseline is what was chosen, or texts that cannot be used.
    """
    moved = moved_levels(results, chosen)
    if not moved:
        what = "what is recommended is to keep the baseline: there is nothing to confirm."
        raise input_error(str(study.folder), "verdict", what)
    table = study.read_table()
    fresh = read_fresh_texts(test, study, table) if test else None
    first = max(max(results.planned_seeds), max(results.seeds)) + 1
    parts = list_small_parts(study, table, fresh)
    content = {texts_file(part): "".join(lines) for part, lines in parts.items()}
    content |= extra_files(study, moved, table)
    seeds = range(first, first + count)
    if study.own.descriptions:
        content[STRATEGIES_FILE] = strategies_text(study)
    content[SETTINGS_FILE] = settings_text(study, moved, seeds, table, parts)
    # Named by its content: the same command goes on with what it has begun, until the study has more seeds.
    name = hashlib.sha256("".join(content.values()).encode()).hexdigest()[:8]
    folder = study.files.confirmation(name)
    check_folder(folder)
    if not StudyFolder(folder).settings.exists():
        for name, text in content.items():  # study.toml last: it says all is there
            with saving(folder / name) as draft:
                draft.write_text(text, encoding="utf-8")
    return folder


def list_small_parts(study: Study, table: DataTable, fresh: list[str] | None) -> dict[str, list[str]]:
    """The files of the small study as JSON lines, by part.

    Where seeds draw splits, the train file is the study's whole pool in its own order, so that fresh seeds
    draw the splits that the study would have given them.
    """
    resampling = study.head.design.resampling
    if resampling is None:
        return {
            "train": split_lines(table.train, table.labels),
            "dev": split_lines(table.dev, table.labels),
            "test": split_lines(table.test, table.labels) if fresh is None else fresh,
        }
    parts = {"train": split_lines(study.read_pool(), table.labels)}
    if fresh is not None:
        parts["test"] = fresh
    elif not resampling.pools_test(study.head.data):
        parts["test"] = split_lines(table.test, table.labels)
    return parts


def extra_files(study: Study, moved: Levels, table: DataTable) -> dict[str, str]:
    """More texts to train on of the two recipes, as the other texts of the small study are written.

    Raises:
        InputError: a file that cannot be used.
    """
    files = {}
    for path in {recipe.texts.extra for recipe in list_small_recipes(study, moved)} - {""}:
        split = read_extra(Path(path), study.folder, study.head.data, table)
        lines = split_lines(split, table.labels)
        if table.train.groups is not None:  # each is a group of its own
            lines = [json.dumps({**json.loads(line), GROUP: ""}, ensure_ascii=False) + "\n" for line in lines]
        files[str(small_level(EXTRA, path))] = "".join(lines)
    for path in {recipe.pseudo.texts for recipe in list_small_recipes(study, moved)} - {""}:
        texts = read_unlabelled(UNLABELLED, Path(path), study.folder, study.head.data, table).texts
        files[str(small_level(UNLABELLED, path))] = "".join(map(json_line, texts))
    return files


def list_small_recipes(study: Study, moved: Levels) -> tuple[Recipe, Recipe]:
    """The study's first recipe, and the same with the levels that the small study varies."""
    return study.rows[0].recipe, study.recipe_at({**study.rows[0].levels, **moved})


def small_level(factor: str, level: Level) -> Level:
    """A level as the small study has it, whose folder lies in the study's: files have other names there."""
    if factor not in FILES or level in ("", COLUMNS):
        return level
    if factor in (EXTRA, UNLABELLED):
        name = "extra" if factor == EXTRA else "unlabelled"
        return f"{name}-{hashlib.sha256(str(level).encode()).hexdigest()[:8]}.jsonl"
    path = Path("..") / expand_user(str(level))  # which stays as it is if it begins at the root
    return path.as_posix()


def moved_levels(results: Results, chosen: Distinct) -> Levels:
    """The levels of a recipe that are not the baseline's."""
    return {name: level for name, level in chosen.levels.items() if level != results.factors[name][0]}


def read_fresh_texts(path: Path, study: Study, table: DataTable) -> list[str]:
    """Fresh test texts as JSON lines, checked against the study's labels and its own texts."""
    asked = ColumnOptions(header=study.head.data.header, of_study=StudyReading.of(study.head.data))
    read: UnlabelledTexts = read_texts(path, len(table.train.texts[0]), asked)
    problems = []
    if read.labels is None:
        problems.append(Problem(path.name, "no labels. Expected a label for every text."))
    else:
        unknown = sorted(set(read.labels) - set(table.labels))
        if unknown:
            known_labels = quote_all(list(table.labels))
            what = f"labels that the study does not know: {quote_all(unknown, 5)}. Known: {known_labels}."
            problems.append(Problem(path.name, what))
    splits = (table.train, table.dev, table.test)
    if study.head.design.resample is not None:
        splits = (study.read_pool(), table.dev, table.test)
    known = {text for split in splits for text in fold_rows(split.texts)}
    again = sum(text in known for text in fold_rows(read.texts))
    if again:
        what = (
            f"{again} of {len(read.texts)} texts are in the study already, "
            "some perhaps in other case and blanks. Expected texts new to it."
        )
        problems.append(Problem(path.name, what))
    if problems:
        raise InputError("confirm", problems)
    assert read.labels is not None
    return [json_line(text, label) for text, label in zip(read.texts, read.labels, strict=True)]


def split_lines(split: Split, labels: tuple[str, ...]) -> list[str]:
    """The texts of a split as JSON lines."""
    groups: list[int | None] = [None] * len(split) if split.groups is None else split.groups.tolist()
    return [
        json_line(text, labels[label], group)
        for text, label, group in zip(split.texts, split.labels, groups, strict=True)
    ]


def json_line(text: tuple[str, ...], label: str | None = None, group: int | None = None) -> str:
    """A text, or a pair; with its label and its group, where it has them."""
    columns: dict[str, object] = dict(zip(column_names(len(text)), text, strict=True))
    known = {} if label is None else {"label": label}
    named = {} if group is None else {GROUP: f"g{group}"}
    return json.dumps({**columns, **known, **named}, ensure_ascii=False) + "\n"


def column_names(parts: int) -> list[str]:
    return ["text"] if parts == 1 else ["text1", "text2"]


def settings_text(
    study: Study, moved: Levels, seeds: Iterable[int], table: DataTable, parts: Collection[str]
) -> str:
    """The small study's study.toml.

    Args:
        study: that chose.
        moved: what the recommended recipe has that the baseline has not.
        seeds: fresh ones.
        table: the study's texts; of the first split, where seeds draw them.
        parts: which of train, dev and test have a file.
    """
    head = study.head
    run = {name: value for name, value in head.run.model_dump().items() if value is not None}
    names = column_names(len(table.train.texts[0]))
    tables: dict[str, dict[str, object]] = {
        "data": {
            **{part: texts_file(part) for part in parts},
            "text": names[0] if len(names) == 1 else names,
            "label": "label",
        },
        "design": {"seeds": list(seeds)},
        "run": run,
        **({"strategies": named} if (named := name_strategies(study)) else {}),
        "model": {"name": str(study.checkpoint.folder.resolve())},
    }
    if table.train.groups is not None:
        tables["data"]["group"] = GROUP
    if head.design.resample is not None:
        tables["data"] |= share_out(study, table, parts)
        tables["design"]["resample"] = head.design.resample
    refuse_columns(study, moved)
    first = study.rows[0].recipe.levels()
    levels = {name: small_level(name, level) for name, level in first.items()}
    moved = {name: small_level(name, level) for name, level in moved.items()}
    for part, its_levels in by_part(levels).items():
        tables.setdefault(part, {}).update(its_levels)
    of_bundles = {name: level for name, level in moved.items() if name in study.bundles}
    tables["factors"] = {
        f'"{name}"': [levels[name], level] for name, level in moved.items() if name not in of_bundles
    }
    for name, level in of_bundles.items():
        at_level = study.recipe_at({name: level}).levels()
        sets = {setting: small_level(setting, own) for setting, own in at_level.items()}
        moved_settings = {s: sets[s] for s in study.bundles[name].settings if sets[s] != levels[s]}
        tables[f"factors.{format_toml(name)}"] = {
            format_toml(study.factors[name][0]): {},
            format_toml(level): moved_settings,
        }
    lines = [f"score = {format_toml(head.score)}", f"protocol = {format_toml(head.protocol)}"]
    for name, content in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {format_toml(value)}" for key, value in content.items())]
    return "\n".join(lines) + "\n"


def name_strategies(study: Study) -> dict[str, object]:
    """The study's own strategies, as its small study names them."""
    own = study.head.strategies
    files = [(Path("..") / name).as_posix() for name in own.files]
    return {name: named for name, named in (("files", files), ("installed", own.installed)) if named}


def strategies_text(study: Study) -> str:
    """What is known of them, as the small study has it: as its study.toml calls them."""
    files = study.head.strategies.files
    known = [
        one.model_copy(update={"source": (Path("..") / one.source).as_posix()})
        if one.source in files
        else one
        for one in study.own.descriptions
    ]
    return format_file(StrategiesFile(settings="", strategies=tuple(known)))


def refuse_columns(study: Study, moved: Levels) -> None:
    """Refuse a teacher that stands in the study's training file, which the small study has not.

    Args:
        study: that chose.
        moved: what the small study varies.

    Raises:
        InputError: there is one.
    """
    each = [recipe.levels() for recipe in list_small_recipes(study, moved)]
    for factor in TEACHER_FACTORS:
        if any(levels[factor] == COLUMNS for levels in each):
            what = f'"{COLUMNS}": a confirmation takes texts and labels along, no other columns.'
            raise input_error(str(study.folder), factor, f"{what} Name a kept model.")


def share_out(study: Study, table: DataTable, parts: Collection[str]) -> dict[str, object]:
    """Settings that give the splits of the small study's pool the sizes of the study's."""
    pool = study.read_pool()
    whole = len(set(pool.texts))
    drawn = ("dev",) if "test" in parts else ("dev", "test")
    shares: dict[str, object] = {
        f"{part}_share": len(set(getattr(table, part).texts)) / whole for part in drawn
    }
    size = study.head.data.train_size
    if "test" in parts and study.head.design.resampling is not None:
        pooled = study.head.design.resampling.pools_test(study.head.data)
        size = len(table.train) if pooled else size  # else it would train on what was test
    train = {} if size is None else {"train_size": size}
    return {**shares, **train, "split_seed": study.head.data.split_seed}


def compare(before: Results, chosen: Distinct, small: Study, fresh_texts: bool) -> Confirmation:
    """Both figures: of the study that chose, and of the runs that chose nothing.

    Raises:
        InputError: the small study has not been started, or no seed has finished with both recipes.
    """
    fresh = load_results(small)
    shared = {warning.kind for warning in shared_chance(fresh)}
    recommended = next(
        recipe
        for recipe in fresh.recipes
        if all(recipe.levels[f] == fresh.factors[f][1] for f in recipe.levels)
    )
    return Confirmation(
        moved_levels(before, chosen),
        compare_pairs(before, before.recipes[before.baseline], chosen),
        compare_pairs(fresh, fresh.recipes[fresh.baseline], recommended),
        fresh_texts,
        "shared-pretraining" in shared,
        "shared-teacher" in shared,
    )


def compare_pairs(results: Results, baseline: Distinct, recommended: Distinct) -> Paired:
    """Two recipes on the seeds that both have. A run that diverged is worth the majority class's score.

    Raises:
        InputError: there is no such seed.
    """
    rows = [results.recipes.index(baseline), results.recipes.index(recommended)]
    points, diverged = count_points(results, "test")[rows], find_diverged(results)[rows]
    both = np.isfinite(points).all(axis=0)
    if not both.any():
        what = "no seed has finished with both recipes. `finegrid status` says what became of them."
        raise input_error(str(results.folder), LEDGER_FILE, what)
    wanted = np.isin(np.arange(len(results.recipes)), rows)
    of_all = measure_influence(results, "test", recipes=wanted)
    values = None if of_all is None else of_all[rows][:, both]
    factors = {"recipe": [BASELINE, RECOMMENDED]}
    splits = results.splits("test")
    if splits is not None:
        splits = replace(splits, of_seed=tuple(np.array(splits.of_seed)[both].tolist()))
    levels: list[Levels] = [{"recipe": BASELINE}, {"recipe": RECOMMENDED}]
    experiment = Experiment.of(Outcomes(factors, levels, points[:, both], values, splits=splits))
    (effect,) = analyse_mains(experiment)
    ours, theirs = (float(mean) for mean in experiment.filled.score.mean(axis=1))
    texts = 0 if values is None else values.shape[2]
    if results.is_nested("test") and results.audit is not None:
        texts = results.audit.sizes["test"]
    counts = [int(count) for count in diverged[:, both].sum(axis=1)]
    return Paired(ours, theirs, effect.estimate, effect.plain, int(both.sum()), texts, *counts)


def small_levels(results: Results, recipe: Distinct) -> Levels:
    """What the small study of a recipe varies."""
    return {name: small_level(name, level) for name, level in moved_levels(results, recipe).items()}


def load_confirmations(study: Study, results: Results, table: DataTable | None) -> list[Confirmation]:
    """What earlier calls of `finegrid confirm` have found, as far as it still confirms: seeds that the study
    has trained since have chosen, too.

    Args:
        study: that chose.
        results: what it has shown.
        table: its texts, to tell fresh ones; None where the data are not here: then labels tell them.
    """
    confirmations = []
    for folder in study.files.confirmations:
        try:
            small = read_study(folder)
            if set(small.head.design.numbers) & set(results.seeds):
                continue
            moved = {name: levels[1] for name, levels in small.factors.items()}
            chosen = next(r for r in results.recipes if small_levels(results, r) == moved)
            fresh = small.head.data.test is not None and has_fresh_texts(small, results, table)
            confirmations.append(compare(results, chosen, small, fresh))
        except (InputError, OSError, StopIteration):  # unfinished, damaged, or of factors since changed
            continue
    return confirmations


def has_fresh_texts(small: Study, results: Results, table: DataTable | None) -> bool:
    """Whether a confirmation was scored on other texts than the study that chose.

    Raises:
        InputError: predictions that cannot be read.
        OSError: the confirmation's texts cannot be read.
    """
    if table is not None:
        own = "".join(split_lines(table.test, table.labels))
        return small.files.texts("test").read_text(encoding="utf-8") != own
    # Without the texts, their labels in order tell. Fresh ones with the same labels in the same order pass
    # for the study's own, which claims less.
    before, after = results.predictions("test"), load_results(small).predictions("test")
    return before is None or after is None or not np.array_equal(before.gold, after.gold)

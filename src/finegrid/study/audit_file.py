"""``audit.json``: what only the model and the data can tell about a study, kept where torch is not needed.

Fingerprints, the reduction of every row to the run that stands for it, and the cost of a step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from finegrid.encoders.families import CheckpointInfo, DropoutRates
from finegrid.encoders.tiers import Tier
from finegrid.in_chinese import translate
from finegrid.metrics import find_scores_problem
from finegrid.recipe.identity import ENGINE, Level, Levels, key_of
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import saving
from finegrid.spelling import Lang
from finegrid.study.design import Row
from finegrid.study.folder import AUDIT_FILE, StudyFolder
from finegrid.study.parsing import parse_strictly
from finegrid.words import SHARED

ENGLISH = {
    "inert": "nothing; {reason}",
    "no change": "no change that one step shows",
    "nothing own": "nothing of its own",
    "nothing else": "nothing else",
    "beyond": "and beyond its own thing: {more}",
}
CHINESE = {
    "inert": "不起作用；{reason}",
    "no change": "走一步看不出任何变化",
    "nothing own": "自己那一项没有变化",
    "nothing else": "此外没有变化",
    "beyond": "而且超出了自己那一项：{more}",
}
PROOF_WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
SPLITS, SCORED = ("train", "dev", "test"), ("dev", "test")
COPIES = 4  # of what a member trains, between its steps: weights, two moments, the best epoch's weights


class RowAudit(BaseModel):
    """What became of one row of the table."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    moved: Levels  # the row's recipe, as levels that differ from the defaults
    run: Levels  # the same without inert levels: rows with equal ``run`` are one run
    inert: dict[str, str]  # factor -> why its level does nothing here


class Cost(BaseModel):
    """What one kind of run costs, measured on a few steps."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    shared: Levels  # the levels that decide the cost
    step_seconds: float  # of a run, without its frozen prefix
    prefix_seconds: float  # of a step's frozen prefix, which a family shares
    evaluation_seconds: float  # dev, once
    test_seconds: float
    # Peak bytes of a process that trains one such run, without the best epoch's weights and without mapped
    # files, of which the system keeps one copy for all processes.
    memory: int
    pretrain_seconds: float = 0.0  # of pre-training the encoder, for as many families as have it in common
    member_memory: int = 0  # bytes that one more member of its family adds
    copies: int = 5  # how often these hold what the run trains; audits that do not say so counted gradients
    texts: int = 0  # that such a run trains on; 0: those of the train split
    recomputes: bool = False  # whether layers were computed twice, and not kept
    kept: str = ""  # the day on which another study measured it here, as 2026-11-28; empty: this one did

    @property
    def alone(self) -> int:
        """Bytes of a process that trains one such run, with the best epoch's weights."""
        return self.memory + self.member_memory // self.copies

    def of_family(self, members: int, stacked: bool) -> int:
        """Bytes of a process that trains a family of so many."""
        return self.alone + (members - 1) * self.member(stacked)

    def member(self, stacked: bool) -> int:
        """Bytes that one more member adds. Stacked runs have their activations at once, each its own."""
        return self.alone if stacked and self.member_memory else self.member_memory


class Change(BaseModel):
    """One aspect in which a level makes a run another one."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    aspect: str  # one of strategies.part.Aspect
    count: int  # of tensors, or dropout sites; 1 of what there is one of
    where: str  # "layers 7-12"; empty where there is no place
    words: str


class Proof(BaseModel):
    """What one step on the real model shows of a level, against the factor's first level."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    factor: str
    level: Level
    given: Levels = {}  # other varied factors that were not at their first level, since it does nothing there
    reason: str = ""  # why the level does nothing in any row; empty where it does something
    changes: list[Change] = []  # what it may change, and does
    beyond: list[Change] = []  # what it changes without saying so
    loss: tuple[float | None, float | None] | None = None  # of the step at the first level, and at this one
    gradients: int | None = 0  # tensors with another gradient
    updated: int | None = 0  # tensors with other values after the step
    # The day on which another study proved it here; empty: this one did. Where it had other texts, what its
    # step came to is not told: neither losses nor counts.
    kept: str = ""

    @property
    def subject(self) -> str:
        given = ", ".join(f"{name} = {json.dumps(level)}" for name, level in self.given.items())
        return f"{self.factor} = {json.dumps(self.level, ensure_ascii=False)}{given and f' (with {given})'}"

    def describe(self, lang: Lang = "en") -> str:
        """The proof in words."""
        words, shared = PROOF_WORDS[lang], SHARED[lang]
        own, more = (
            shared["comma"].join(translate(change.words, lang) for change in changes)
            for changes in (self.changes, self.beyond)
        )
        if self.reason:
            told = words["inert"].format(reason=translate(self.reason, lang))
        elif not own and not more:
            told = words["no change"]
        else:
            rest = words["beyond"].format(more=more) if more else words["nothing else"]
            told = (own or words["nothing own"]) + shared["list semi"] + rest
        return translate(self.subject, lang) + shared["colon"] + told

    @property
    def warning(self) -> str:
        """What is wrong with the level; empty if nothing is."""
        if self.beyond:
            more = ", ".join(change.words for change in self.beyond)
            return f"{self.subject} changes more than its own thing: {more}. Its effect cannot be told apart."
        if not self.reason and not self.changes:
            return f"{self.subject}: one step on the model shows no change. It may do nothing."
        return ""


class AuditedCheckpoint(BaseModel):
    """What the study's checkpoint is like, for who reads the study where that is not."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str  # of its folder
    family: str
    layers: int
    positions: int  # most tokens in one text
    has_pooler: bool
    dropout: DropoutRates = DropoutRates()  # audits of before it was noted: the usual rates
    has_biases: bool = True
    tier: Tier = "hand"
    is_decoder: bool = False
    shares_layers: bool = False

    def as_info(self) -> CheckpointInfo:
        """What the checkpoint's own files would say; of its folder only the name is known."""
        return CheckpointInfo(
            folder=Path(self.name), **self.model_dump(exclude={"name", "dropout"}), dropout=self.dropout
        )


class AuditedTier(BaseModel):
    """How the encoder is run, and how that was proved on its own texts: see `finegrid.model.tier_proof`.

    Gaps are the largest over tokens, as shares of a vector's length; null: transformers' own vectors are no
    finite numbers.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    tier: Tier
    texts: int  # that it was proved on
    against_padded: float | None  # from transformers' own padded pass
    alone: float | None  # between a text alone and in company
    alone_padded: float | None  # the same, in transformers' own pass
    attentions: int | None  # calls of finegrid's attention in a pass; null: finegrid computes the layers
    layers: int  # calls of layers in a pass
    draws_nothing: bool  # with all dropout silenced
    sees_ahead: bool  # the first token sees the last one
    padded_share: float = 1.0  # tokens of padded batches over those of their texts; 1: nothing is padded
    kept: str = ""  # the day on which another study proved it here; empty: this one did


class Audit(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    engine: int
    fingerprints: dict[str, str]
    labels: list[str]
    sizes: dict[str, int]  # texts per split
    tokens: dict[str, float]  # of train: lengths, and the shares that max_length cuts and nothing knows
    majority: dict[str, dict[str, Any]]  # scores of always predicting the most frequent training class
    warnings: list[str]
    rows: list[RowAudit]
    costs: list[Cost]
    versions: dict[str, str]
    machine: dict[str, str] = {}  # where the costs were measured
    measured: dict[str, str | int] = {}  # and how: device, precision, threads
    proofs: list[Proof] = []  # of every level but the first of every varied factor
    contents: dict[str, str] = {}  # of the files that levels name, what they hold: see study/contents.py
    splits: list[str] = []  # with design.resample: of every split, the fingerprint of its data
    group: str | int | None = None  # data.group, as it was when this was made
    tier: AuditedTier | None = None  # audits of before it was proved: None
    groups: dict[str, list[int]] = {}  # with data.group: of every text of dev and test, its group's number
    device_memory: int = 0  # bytes of the GPU that this was measured on; 0: on none
    checkpoint: AuditedCheckpoint | None = None  # None: audited by a finegrid that did not keep it

    @cached_property
    def _by_moved(self) -> dict[frozenset[tuple[str, Level]], RowAudit]:
        return {frozenset(audited.moved.items()): audited for audited in self.rows}

    def row(self, row: Row) -> RowAudit | None:
        """The audit of a row, if it was audited as it is now."""
        return self._by_moved.get(frozenset(row.recipe.moved().items()))

    def covers(self, rows: Iterable[Row]) -> bool:
        return self.knows(row.recipe for row in rows)

    def knows(self, recipes: Iterable[Recipe]) -> bool:
        """Whether it tells of all these what they come to."""
        return all(frozenset(r.moved().items()) in self._by_moved for r in recipes)

    def serves(self, rows: list[Row], alike: dict[str, str | int] | None = None) -> bool:
        """Whether it covers the rows and has, if asked, their costs with this device, precision, threads."""
        return self.engine == ENGINE and self.covers(rows) and alike in (None, self.measured)

    def inert(self, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
        """Varied factor -> reason, and the rows in which it does nothing. Of bundles each level's setting."""
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            audited = self.row(row)
            inert = audited.inert if audited else {}
            for name, setting in varied_settings(row).items():
                if setting in inert:
                    found.setdefault(name, {"reason": inert[setting], "rows": []})["rows"].append(row.index)
        return found

    def tells_apart(self, bundle: str, rows: Sequence[Row]) -> bool:
        """Whether the levels of a bundle come to different settings in these rows, inert ones left out."""
        settings = {name for row in rows for name in row.bundled[bundle]}
        runs = [audited.run for row in rows if (audited := self.row(row))]
        return len({key_of({n: run[n] for n in run.keys() & settings}) for run in runs}) > 1

    def inert_everywhere(self, rows: Sequence[Row]) -> set[str]:
        """Varied factors that do nothing in any row: no effect of theirs can be other than 0."""
        found = {name for name in (rows[0].bundled if rows else ()) if not self.tells_apart(name, rows)}
        for factor, known in self.inert(rows).items():
            if factor not in (defaults := rows[0].recipe.defaults):
                continue  # a setting of a bundle
            # At its default a level is nothing that could be left out: the other levels decide.
            moved = [row.index for row in rows if row.levels[factor] != defaults[factor]]
            if known["rows"] == moved:
                found.add(factor)
        return found

    def texts_of(self, cost: Cost | None) -> int:
        """How many texts a run trains on."""
        return cost.texts if cost is not None and cost.texts else self.sizes["train"]

    def cost(self, recipe: Recipe) -> Cost | None:
        shared = recipe.priced_levels()
        return next((cost for cost in self.costs if cost.shared == shared), None)


def varied_settings(row: Row) -> Mapping[str, str]:
    """What a row's varied factors set in its recipe, by the names that users know it by."""
    plain = {name: name for name in row.levels if name not in row.bundled}
    of_bundles = {
        f"{setting} of {bundle} = {row.levels[bundle]}": setting
        for bundle, settings in row.bundled.items()
        for setting in settings
    }
    return plain | of_bundles


def load_audit(folder: Path) -> Audit | None:
    """Read ``audit.json``; None if there is none, or one that does not fit (it will be made anew)."""
    return read_audit(folder)[0]


def describe_unfit_audit(folder: Path) -> str:
    """Why the ``audit.json`` that is there is treated as none; empty if it is not, or there is none."""
    why = read_audit(folder)[1]
    return why and f"{AUDIT_FILE} does not fit and is treated as none ({why}). `finegrid run` makes it anew"


def read_audit(folder: Path) -> tuple[Audit | None, str]:
    """Read ``audit.json``, or say what is wrong with it; neither if there is none."""
    try:
        content = StudyFolder(folder).audit.read_bytes()
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"
    try:
        audit = parse_strictly(Audit, content)
    except ValueError as error:
        return None, str(error)
    why = next(find_contradictions(audit), "")
    return (None, why) if why else (audit, "")


def find_contradictions(audit: Audit) -> Iterator[str]:
    """Where parts of an audit do not go together, as where somebody has edited it."""
    if len(set(audit.labels)) != len(audit.labels) or len(audit.labels) < 2:
        yield "labels: expected two or more, each once"
    if audit.sizes.keys() != set(SPLITS) or min(audit.sizes.values()) < 1:
        yield f"sizes: expected texts of {', '.join(SPLITS)}"
    if not audit.tokens.get("mean", 0.0) >= 0 or "mean" not in audit.tokens:
        yield "tokens.mean: expected a number, 0 or more"
    for split in SCORED:
        if why := find_scores_problem(audit.majority.get(split, {}), audit.labels):
            yield f"majority.{split}: {why}"
    if not audit.rows:
        yield "rows: found none"
    known = {(name, repr(level)) for row in audit.rows for name, level in row.moved.items()}
    for number, row in enumerate(audit.rows):
        if not {(name, repr(level)) for name, level in row.run.items()} <= known:
            yield f"rows.{number}.run: found a level that no row has"
    for split, groups in audit.groups.items():
        if split not in SCORED or len(groups) != audit.sizes[split]:
            yield f"groups.{split}: found {len(groups)}, expected one for each text"
    for cost in audit.costs:
        spent = cost.model_dump(exclude={"shared", "kept"})
        least = min(spent, key=spent.__getitem__)
        if spent[least] < 0 or cost.copies < 1:
            yield f"costs.{least}: found {spent[least]}, expected more"


def save_audit(folder: Path, audit: Audit) -> None:
    text = json.dumps(audit.model_dump(), ensure_ascii=False, indent=1)
    with saving(StudyFolder(folder).audit, len(text.encode())) as draft:
        draft.write_text(text + "\n", encoding="utf-8")

"""What audits of other studies on this machine have found out, where it is true of this study as well.

Everything that an entry depends on is part of its key, or of what its shelf is about. What depends on the
texts of a study is looked at anew, but for two things: a cost, which is scaled to the texts, and a proof,
which says what a level touches whatever is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

import finegrid
from finegrid.audit.hashes import hash_values
from finegrid.encoders.files import read_config
from finegrid.machine import machine, versions
from finegrid.model.device import name_gpu, total_memory
from finegrid.model.kernels.operations import describe_rounding
from finegrid.model.packing.batches import Batch
from finegrid.model.tier_proof import TierProof
from finegrid.recipe.identity import ENGINE
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import IN_STEPS, Strategy
from finegrid.study.audit_file import Proof
from finegrid.study.parsing import parse_strictly
from finegrid.training.loaded import LoadedStudy
from finegrid.user_cache import Shelf, ShelfEntry

OWN_TEXTS = Recipe().texts  # of the study, all of them
# Of what a level may change, what is there before a step; the rest is computed from texts, rounding included.
SEEN_BEFORE = ("initial", "trained", "rates", "decays", "sites", "pooling", "end")
NEAR = 1.25  # texts whose lengths and words are within this factor of those that a cost was measured with
T = TypeVar("T")
Key = list[Any]  # as JSON has it


class SizesOfTexts(BaseModel):
    """What of a study's texts decides what a step costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: float  # of a training text, in the mean, as it is read
    longest: int  # tokens
    rows: int  # of the table of words that a run holds

    def are_near(self, other: SizesOfTexts) -> bool:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(mine <= NEAR * theirs and theirs <= NEAR * mine for mine, theirs in pairs)


class Measured(BaseModel):
    """What a kind of run was measured to take, and on what texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sizes: SizesOfTexts
    step_seconds: float
    prefix_seconds: float  # of one computation
    prefix_is_constant: bool  # so that one serves all epochs
    seconds_per_token: float  # of evaluation
    pretrain_seconds: float
    memory: int
    member_memory: int
    copies: int
    recomputes: bool

    def scaled(self, sizes: SizesOfTexts) -> Measured:
        """For other texts: seconds go with the tokens; memory grows with them, and is never told smaller."""
        by = sizes.tokens / self.sizes.tokens
        more = max(1.0, by, sizes.longest / self.sizes.longest, sizes.rows / self.sizes.rows)
        return self.model_copy(
            update={
                "step_seconds": self.step_seconds * by,
                "prefix_seconds": self.prefix_seconds * by,
                "memory": int(self.memory * more),
                "member_memory": int(self.member_memory * more),
            }
        )


class ProvedTier(BaseModel):
    """A proof of how an encoder is run, and the tokens of the longest text that it was made on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    proof: TierProof
    longest: int


class PreparedFacts(BaseModel):
    """What a recipe makes of the model before training, but for the model itself.

    Attributes:
        initial: hashes of the initial values of every parameter, or `hashes.LOADED`.
        reaching: parameters that get a gradient if everything trains.
        sites: active dropout sites.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    initial: dict[str, str]
    reaching: tuple[str, ...]
    sites: tuple[str, ...]


class KeptAudits:
    """The shelves of one study."""

    def __init__(self, loaded: LoadedStudy, seed: int) -> None:
        """``seed``: of the models that are looked at."""
        self.loaded = loaded
        self.seed = seed
        facts = describe_process(loaded)
        model = {**facts, "model": loaded.fingerprints["model"], "classes": len(loaded.tokens.labels)}
        self._tiers = Shelf("tiers", {**facts, "model": loaded.fingerprints["model"]})
        self._forms = Shelf("forms", {**model, "seed": seed})
        self._proofs = Shelf("proofs", model)
        self._costs = Shelf("costs", {**facts, **describe_shape(loaded), "classes": model["classes"]})
        self.of_hand = loaded.checkpoint.tier == "hand"  # whose passes are the same whatever is read

    def save(self) -> None:
        for shelf in (self._tiers, self._forms, self._proofs, self._costs):
            shelf.save()

    # A tier, of the very tokens that it was proved on, or of layers whose code asks for lengths alone

    def find_tier(self, batch: Batch) -> tuple[TierProof, str] | None:
        """A proof of these texts, else of others that are as long; with the day on which it was made."""
        for key in (self._key_of_tier(batch), self._key_of_like(batch)):
            entry = None if key is None else self._tiers.get(key)
            found = parse_kept(ProvedTier, entry)
            longest = int(batch.lengths.max())
            if found is not None and entry is not None and longest <= found.longest <= NEAR * longest:
                return found.proof, entry.made
        return None

    def keep_tier(self, batch: Batch, proof: TierProof) -> None:
        proved = {"proof": asdict(proof), "longest": int(batch.lengths.max())}
        for key in (self._key_of_tier(batch), self._key_of_like(batch)):
            if key is not None:
                self._tiers.put(key, proved)

    def _key_of_tier(self, batch: Batch) -> object:
        return [hash_values(part) for part in (batch.ids, batch.types, torch.from_numpy(batch.lengths))]

    def _key_of_like(self, batch: Batch) -> object:
        """None of encoders that transformers computes, whose code is not ours to know."""
        return ["like", bool(batch.types.any())] if self.of_hand else None

    # What a recipe makes of the model, of the seed's own numbers

    def find_prepared(self, recipe: Recipe) -> PreparedFacts | None:
        """What is known of a model before its training, whatever the rates."""
        key = self._key_of_prepared(recipe)
        return None if key is None else parse_kept(PreparedFacts, self._forms.get(key))

    def keep_prepared(self, recipe: Recipe, facts: PreparedFacts) -> None:
        if (key := self._key_of_prepared(recipe)) is not None:
            self._forms.put(key, facts.model_dump())

    def _key_of_prepared(self, recipe: Recipe) -> Key | None:
        if self.free_key(recipe) is None:
            return None
        preparing = [one for one in recipe.acting if one.overrides("prepare_model")]
        return ["prepared", recipe.model.pooling, *map(repr, preparing)]

    def keys_of_model(self, recipe: Recipe) -> list[Key]:
        """What decides on it: where the texts have no say in it, and where they have. The first under which
        something is kept is the right one. None of code of one's own.
        """
        if type(recipe) is not Recipe:
            return []
        free = self.free_key(recipe)
        return [*([] if free is None else [free]), [*self.texts_key(recipe), self.seed]]

    def free_key(self, recipe: Recipe) -> Key | None:
        """What decides on the model of a recipe that reads no texts before its first step; None of others,
        and of code of one's own.
        """
        own_code = type(recipe) is not Recipe
        if own_code or not self.of_hand or any(strategy.reads_texts for strategy in recipe.acting):
            return None
        return [recipe.model.pooling, *map(repr, recipe.acting)]

    def texts_key(self, recipe: Recipe) -> Key:
        """All that decides on a recipe's steps: its levels, and whatever it may read."""
        rows = self.loaded.rows(recipe)
        read = [self.loaded.fingerprints, self.loaded.contents, self.loaded.split_fingerprints]
        return [*read, rows and rows.digest, sorted(recipe.levels().items())]

    def find_words(self, key: object) -> str | None:
        """A digest or a reason that was kept."""
        return parse_kept(str, self._forms.get(key))

    def keep_words(self, key: object, words: str) -> None:
        self._forms.put(key, words)

    # What a level touches

    def is_plain(self, recipe: Recipe) -> bool:
        """Whether a step of it does the same things, whatever is read: what acts changes the model, its rates
        and its updates alone.
        """
        changing = (*IN_STEPS, "unlabelled", "acts_at")
        acting: Sequence[Strategy] = recipe.acting
        plain = not any(strategy.overrides(seam) for strategy in acting for seam in changing)
        return plain and recipe.texts == OWN_TEXTS and self.free_key(recipe) is not None

    def find_proof(self, exact: Key, *free: Key) -> Proof | None:
        """A proof of these texts; else one of others, or with another rate, where that says the same."""
        for key in (exact, *free):
            entry = self._proofs.get(key)
            if entry is not None and (proof := parse_kept(Proof, entry)) is not None:
                return proof.model_copy(update={"kept": entry.made})
        return None

    def keep_proof(self, proof: Proof, exact: Key, *free: Key) -> None:
        """Of what a step computes, losses and counts are of its texts: other studies are not told of them.

        Args:
            proof: what was found.
            exact: all that decides on it.
            free: what decides on it in other studies; it must be `seen_before`.
        """
        self._proofs.put(exact, proof.model_dump())
        blank = {"loss": None, "gradients": None, "updated": None}
        for key in free:
            self._proofs.put(key, {**proof.model_dump(), **blank})

    # What a run costs, scaled to the texts

    def find_cost(self, recipe: Recipe) -> tuple[Measured, str] | None:
        """With the day on which it was measured."""
        if (key := self._key_of_cost(recipe)) is None:
            return None
        entry, sizes = self._costs.get(key), sizes_of(self.loaded, recipe)
        found = parse_kept(Measured, entry)
        if found is None or entry is None or not found.sizes.are_near(sizes):
            return None
        return found.scaled(sizes), entry.made

    def keep_cost(self, recipe: Recipe, measured: Measured) -> None:
        if (key := self._key_of_cost(recipe)) is not None:
            self._costs.put(key, measured.model_dump())

    def _key_of_cost(self, recipe: Recipe) -> object:
        """None where files beside the texts, or what is made before the first step, have a say."""
        beside = any(strategy.overrides("start_seconds") or strategy.teachers for strategy in recipe.acting)
        if beside or type(recipe) is not Recipe or recipe.texts != OWN_TEXTS or recipe.unlabelled is not None:
            return None
        if self.loaded.settings.recompute == "auto":  # chosen by the memory that is there
            return None
        levels = recipe.levels()
        of_texts = ("model.max_length", "model.keep", "training.epochs")
        priced = {name: level for name, level in recipe.priced_levels().items() if name not in of_texts}
        about = ("model.pooling", "training.batch_size", "training.micro_batch")
        norms = any(strategy.overrides("change_gradients_") for strategy in recipe.acting)
        return [sorted(priced.items()), [levels[name] for name in about], recipe.reads_table, norms]


def seen_before(proof: Proof) -> bool:
    """Whether all that a level changes is there before a step."""
    return all(change.aspect in SEEN_BEFORE for change in (*proof.changes, *proof.beyond))


def sizes_of(loaded: LoadedStudy, recipe: Recipe) -> SizesOfTexts:
    lengths = np.minimum(loaded.training_texts(recipe).lengths, recipe.model.max_length)
    rows = loaded.rows_in_steps(recipe)
    held = getattr(loaded.checkpoint.table, "num_embeddings", 1) if rows is None else len(rows.ids)
    return SizesOfTexts(tokens=float(lengths.mean()), longest=int(lengths.max()), rows=held)


def parse_kept(kind: type[T], entry: ShelfEntry | None) -> T | None:
    """None where there is none, or what is there is nothing of the kind."""
    if entry is None:
        return None
    fields = getattr(kind, "model_fields", None)
    if fields is not None and (not isinstance(entry.value, dict) or entry.value.keys() != fields.keys()):
        return None  # what has defaults is not to be made up
    try:
        return parse_strictly(kind, dumps(entry.value))
    except ValueError:
        return None


def describe_process(loaded: LoadedStudy) -> dict[str, Any]:
    """What decides on bits and seconds beside the study: program, libraries, machine, and how it computes."""
    return {
        "engine": ENGINE,
        "code": hash_code(),
        "versions": versions(),
        "machine": machine(name_gpu(loaded.device) or None),
        "device_memory": total_memory(loaded.device),
        "settings": loaded.settings.priced_by,
        "tier": loaded.checkpoint.tier,
        **describe_rounding(loaded.device),
    }


def describe_shape(loaded: LoadedStudy) -> dict[str, Any]:
    """What an encoder is like, whatever its weights."""
    config = read_config(loaded.checkpoint.info.folder)
    shapes = {name: [*p.shape] for name, p in loaded.checkpoint.encoder.named_parameters()}
    names = ("_name_or_path", "transformers_version")
    return {"config": {n: v for n, v in config.items() if n not in names}, "shapes": digest_shapes(shapes)}


def digest_shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    return hashlib.sha256(dumps(shapes, sort_keys=True).encode()).hexdigest()


@cache
def hash_code() -> str:
    """Of all of finegrid: whoever changes it finds nothing that the old code has proved."""
    digest = hashlib.sha256()
    folder = Path(finegrid.__file__).parent
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.cpp")]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()

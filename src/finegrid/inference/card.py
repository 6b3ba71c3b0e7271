"""The card of a kept model: what it is, how to open it, where it comes from, how well it does, its limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from finegrid.data.markdown import code_block, escape_line
from finegrid.inference.fitted import Fitted
from finegrid.inference.snippet import loading_code
from finegrid.metrics import PLAIN_SCORES
from finegrid.spelling import format_level
from finegrid.study.kept_files import HEAD, ONNX
from finegrid.study.settings import BEST_TEST

MOST_LABELS = 50
KEEPS = {
    "head": "its beginning",
    "tail": "its end",
    "head+tail": "its first quarter and the rest from its end",
}
ONNX_CODE = """\
import numpy as np
import onnxruntime
from transformers import AutoTokenizer

folder = "."  # where this README.md lies
tokenizer = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(f"{{folder}}/model.onnx")
batch = tokenizer({example}, truncation=True, padding=True, return_tensors="np")
(logits,) = session.run(["logits"], {{one.name: batch[one.name] for one in session.get_inputs()}})
print(np.argmax(logits, -1))  # numbers of labels, as id2label in config.json has them"""


@dataclass(frozen=True)
class ModelOrigin:
    """What the card of a kept model says beside what its ``finegrid.json`` has.

    Attributes:
        title: The study's name.
        base_model: As study.toml names it.
        on_hub: Whether that is a name on the hub.
        sizes: Texts of every split.
        study: Markdown on the study: what was compared, with what result.
    """

    title: str
    base_model: str
    on_hub: bool
    sizes: Mapping[str, int] = field(default_factory=dict)
    study: str = ""


def model_card(fitted: Fitted, facts: ModelOrigin, onnx: bool) -> str:
    """README.md of a kept model. The user's words in it are escaped; there are no texts in it."""
    blocks = [
        "\n".join(front_matter(facts)),
        f"# {escape_line(facts.title)}",
        f"A text classifier with {len(fitted.labels)} labels, chosen, trained and kept by finegrid "
        f"{escape_line(fitted.versions.get('finegrid', ''))}".rstrip()
        + ".",
        *usage(fitted, onnx),
        *training(fitted, facts),
        *data(fitted, facts),
        *scores(fitted),
        facts.study,
        "\n".join(limits(fitted)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def front_matter(facts: ModelOrigin) -> Iterator[str]:
    """What the hub reads. JSON strings are YAML strings."""
    yield from (
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "tags:",
        "- finegrid",
    )
    if facts.on_hub:
        yield f"base_model: {json.dumps(facts.base_model)}"
    yield from ("metrics:", "- f1", "- accuracy", "- matthews_correlation", "---")


def usage(fitted: Fitted, onnx: bool) -> Iterator[str]:
    yield "## How to use it"
    yield "With finegrid, on files, standard input or single texts:"
    value = '--text-value "..." --text-value "..."' if fitted.texts == 2 else '--text-value "..."'
    yield code_block(f"finegrid predict . texts.csv --out labelled.csv\nfinegrid predict . {value}", "sh")
    if fitted.head_kind == "huggingface":
        yield (
            "This folder is a model of transformers: `AutoModelForSequenceClassification` and "
            '`pipeline("text-classification")` load it. Pass `truncation=True`.'
        )
    else:
        yield (
            f"With transformers: `AutoModel` loads the encoder, `{HEAD}` has the rest. "
            "`AutoModelForSequenceClassification` knows no such head and refuses the folder. "
            "This code gives the logits of `finegrid predict`:"
        )
    if fitted.head_kind == "huggingface" and fitted.keep == "head+tail":
        yield "Of long texts this model reads beginning and end, which takes this code:"
    yield code_block(loading_code(fitted), "python")
    how = f"`{ONNX}` takes" if onnx else f"`finegrid export-onnx` writes `{ONNX}` into this folder. It takes"
    yield f"With ONNX: {how} what the tokenizer gives, in batches of any size and length."
    example = '["..."], ["..."]' if fitted.texts == 2 else '["..."]'
    yield code_block(ONNX_CODE.format(example=example), "python")
    if fitted.keep == "head+tail":
        yield "The tokenizer alone keeps the beginning of a long text: cut it with `encode` as above."


def training(fitted: Fitted, facts: ModelOrigin) -> Iterator[str]:
    yield "## How it was trained"
    base = (
        escape_line(facts.base_model)
        if facts.on_hub
        else f"the local checkpoint {escape_line(facts.base_model)}"
    )
    head = "the head of transformers" if fitted.head_kind == "huggingface" else "LayerNorm and a linear layer"
    if fitted.head_hidden:
        head = f"LayerNorm, a layer of {fitted.head_hidden} units and a linear layer"
    lines = [
        f"- It started from {base}.",
        f"- A text becomes one vector by pooling `{fitted.pooling}`; on it lies {head}."
        if fitted.head_kind == "finegrid"
        else f"- On the encoder lies {head}.",
        f"- Texts are cut to {fitted.max_length} tokens. Of a longer text it reads {KEEPS[fitted.keep]}.",
        f"- Seed {fitted.seed}; epoch {fitted.best_epoch} was kept; {escape_line(fitted.precision)} on "
        f"{escape_line(fitted.device)}; run {escape_line(fitted.run_id)}.",
    ]
    yield "\n".join(lines)
    yield "The settings that differ from finegrid's defaults (`finegrid explain SETTING` explains each):"
    yield table(("setting", "value"), [(name, format_level(level)) for name, level in fitted.recipe.items()])


def data(fitted: Fitted, facts: ModelOrigin) -> Iterator[str]:
    yield "## Data"
    yield "The texts are not part of this folder. A hash stands for what was trained on:"
    rows = [(part, f"{size:,} texts") for part, size in facts.sizes.items()]
    rows += [(f"fingerprint of the {part}", mark) for part, mark in fitted.fingerprints.items()]
    yield table(("", ""), rows)
    named = ", ".join(map(escape_line, fitted.labels[:MOST_LABELS]))
    more = f" and {len(fitted.labels) - MOST_LABELS:,} more" if len(fitted.labels) > MOST_LABELS else ""
    yield f"Labels: {named}{more}."


def scores(fitted: Fitted) -> Iterator[str]:
    yield "## How well it does"
    if not fitted.test:
        return
    known = [name for name in PLAIN_SCORES if name in fitted.test and name in fitted.dev]
    yield "This very model, from one run, so that chance has its part in these numbers:"
    yield table(
        ("score", "dev", "test"),
        [(name, f"{fitted.dev[name]:.4f}", f"{fitted.test[name]:.4f}") for name in known],
    )
    if fitted.protocol == "best-test":
        yield f"{BEST_TEST}."
    else:
        yield f"The epoch was chosen on dev, by {escape_line(fitted.score)}. Test had no part in that."


def limits(fitted: Fitted) -> Iterator[str]:
    yield "## Limits\n"
    yield "- It gives every text one of its labels, also a text that belongs to none of them."
    yield "- The scores hold for texts like those of the study. On other texts it may do worse: try it first."
    cooled = fitted.recipe.get("posthoc.temperature", "none") != "none"
    yield (
        "- Its probabilities were made to fit the study's dev texts by a temperature."
        if cooled
        else "- Its probabilities are the softmax of its logits. They are not calibrated."
    )
    if fitted.recipe.get("posthoc.tau"):
        yield "- Its logits are adjusted for the sizes of the classes in training."
    yield f"- It reads at most {fitted.max_length} tokens of a text."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; no rows: nothing."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *([escape_line(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The comments of a new study.toml, in English and Chinese; values, keys and their order are the same."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import pytest
from support.chinese import HAN, find_english
from support.levels import ON

from finegrid.encoders.families import CheckpointInfo
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import LANGS, Lang
from finegrid.study.demo import prepare_demo
from finegrid.study.drafting import InitOptions, draft_study_toml
from finegrid.study.presets import PRESETS, make_preset, usual
from finegrid.study.proposals import TextLengths
from finegrid.study.toml_words import CHINESE, ENGLISH, OBSTACLES, explain_obstacle, tell_left_out

READING = {"text": "text", "label": "label"}
PLAIN = InitOptions(train=Path("train.tsv"), model=None, precision="bf16")
SHORT = TextLengths(train=1_000, percentile_99=30, longest=39, limit=512)
LONG = TextLengths(train=90_000, percentile_99=700, longest=2_000, limit=512, share_over_limit=0.07)
ALIKE = TextLengths(train=1_000, percentile_99=30, longest=31, limit=512)
ASKED = [
    (PLAIN, SHORT),
    (PLAIN, LONG),
    (PLAIN, ALIKE),
    (PLAIN, None),
    (replace(PLAIN, as_published=True, precision="fp32", encoding="gb18030"), None),
    (replace(PLAIN, preset="few-sample", levels=["training.epochs=2"], score="f1:x"), SHORT),
    (replace(PLAIN, preset="cheap", model="mini-zh", seeds=3, test=Path("test.tsv")), LONG),
    (
        replace(PLAIN, factors=("schedule.shape", "loss.weights"), varied={"optimizer.rate": [1e-4, 2e-4]}),
        SHORT,
    ),
    (replace(PLAIN, design="full", resolution="5"), SHORT),
]
BERT = CheckpointInfo(Path(), "bert", 3, 512, True)
CHECKPOINTS = [
    BERT,
    replace(BERT, family="distilbert", layers=1, positions=4, has_pooler=False, has_biases=False),
    replace(BERT, family="albert", has_pooler=False, tier="interface", shares_layers=True),
    replace(BERT, family="qwen3", has_pooler=False, tier="interface", is_decoder=True),
    replace(BERT, family="modernbert", has_pooler=False, has_biases=False, tier="interface"),
    replace(BERT, family="gpt2", has_pooler=False, tier="padded", is_decoder=True),
]
# One level of each factor, and those that quarrel with others.
MOVED: list[dict[str, Level]] = [
    *({factor: level} for factor, level in ON.items()),
    {"model.pooling": "pooler"},
    {"model.pooling": "mean-of-last-4"},
    {"model.pooling": "cls"},
    {"head.kind": "huggingface"},
    {"freeze.layers": 3},
    {"dropout.head": 0.0},
    {"schedule.shape": "one-cycle"},
    {"training.patience": 1},
    {"training.batch_size": 1},
    {"posthoc.epoch": "last"},
    {"posthoc.tau": 1.0},
    {"average.ema": 0.3},
    {"average.soup": 3},
]
BASES: list[dict[str, Level]] = [{}, {"model.pooling": "pooler", "distil.teacher": "columns"}]


def draft(options: InitOptions, texts: TextLengths | None, lang: Lang, folder: Path) -> list[str]:
    reading = {**READING, **({} if options.encoding == "auto" else {"encoding": options.encoding})}
    drafted = draft_study_toml(folder, options, reading, texts, lang)
    return drafted.text.splitlines()


def comment_of(line: str) -> str:
    """What stands behind the last mark of a comment."""
    return line.rpartition("# ")[2] if "# " in line else ""


@pytest.mark.parametrize(("options", "texts"), ASKED)
def test_only_the_comments_differ_and_they_stand_at_the_same_places(
    options: InitOptions, texts: TextLengths | None, tmp_path: Path
) -> None:
    english, chinese = (draft(options, texts, lang, tmp_path) for lang in LANGS)

    assert tomllib.loads("\n".join(chinese)) == tomllib.loads("\n".join(english))
    assert [line.removesuffix(comment_of(line)) for line in chinese] == [
        line.removesuffix(comment_of(line)) for line in english
    ]
    assert [bool(comment_of(line)) for line in chinese] == [bool(comment_of(line)) for line in english]
    assert not HAN.search("\n".join(english))


@pytest.mark.parametrize(("options", "texts"), ASKED)
def test_no_comment_stays_an_english_sentence(
    options: InitOptions, texts: TextLengths | None, tmp_path: Path
) -> None:
    lines = draft(options, texts, "zh", tmp_path)
    comments = [comment_of(line) for line in lines]
    same = [comment for comment in filter(None, comments) if not HAN.search(comment)]

    assert [comment for comment in comments if find_english(comment)] == []
    assert [one for one in same if not re.match(r'split_seed = 0|"(cpu|utf-8)" \||"\S+ = ', one)] == []


def find_obstacles() -> set[str]:
    """All that recipes ask for in vain which differ from a base in two factors."""
    found = set()
    for checkpoint, base, (one, other) in product(CHECKPOINTS, BASES, combinations(MOVED, 2)):
        recipe = Recipe().at({**base, **one, **other})
        found |= {problem.what for problem in recipe.problems(checkpoint)}
    return found


def test_whatever_a_checkpoint_cannot_do_is_told_in_chinese() -> None:
    obstacles = find_obstacles()
    presets = [make_preset(name, one) for name in PRESETS for one in CHECKPOINTS] + [usual(BERT)]
    left_out = [told for preset in presets for told in preset.left_out]

    assert [what for what in obstacles if explain_obstacle(what) == what] == []
    assert [told for told in left_out if find_english(tell_left_out(told, "zh"))] == []
    assert left_out and [tell_left_out(told, "en") for told in left_out] == left_out
    whys = [*obstacles, *(told.partition(": ")[2] for told in left_out)]
    assert [english for english, _ in OBSTACLES if not any(re.fullmatch(english, why) for why in whys)] == []


def test_a_level_that_is_left_out_is_named_before_why() -> None:
    told = "reinit.pooler at true: true, but distilbert has no pooler."

    assert tell_left_out(told, "zh") == "reinit.pooler = true：distilbert 没有 pooler"
    assert tell_left_out("trains: the encoder has too few layers.", "zh") == "trains：编码器层数太少"


def test_every_comment_holds_the_same_values_in_both_languages() -> None:
    for key, english in ENGLISH.items():
        fields = re.findall(r"{\w+[^}]*}", english)
        if key == "batch":
            fields = [field for field in fields if "few" not in field]
        assert sorted(re.findall(r"{\w+[^}]*}", CHINESE[key])) == sorted(fields), key


def test_a_demo_goes_on_whichever_language_its_file_has(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo", lang="zh")
    written = (tmp_path / "demo" / "study.toml").read_text(encoding="utf-8")
    prepare_demo(tmp_path / "demo")

    assert "基线" in written and (tmp_path / "demo" / "study.toml").read_text(encoding="utf-8") == written

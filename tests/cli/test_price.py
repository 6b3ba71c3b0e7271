"""What is said before anything long: the price, and how to ask for less; and a time for `finegrid run`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest
from support.command_line import Call, records
from support.studies import (
    draw_texts,
    open_study,
    save_word_checkpoint,
    write_data,
    write_tsv,
    write_word_study,
)

from finegrid.audit.costs import make_audit
from finegrid.data import reading_phrases
from finegrid.encoders.size import measure_size
from finegrid.planning.rough import TextSizes, guess_seconds, layer_products, run_seconds
from finegrid.planning.status import study_status
from finegrid.study import init_words
from finegrid.study.audit_file import save_audit
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.budget.budget import Option, find_candidates
from finegrid.verdict.budget.phrases import CHINESE, ENGLISH
from finegrid.verdict.budget.price import (
    Price,
    describe_decided,
    less_lines,
    price_lines,
    price_measured,
    price_rough,
)
from finegrid.verdict.budget.words import describe_without

SIZES = TextSizes({"train": 1_000, "dev": 100, "test": 500}, {"train": 20.0, "dev": 20.0, "test": 20.0})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Study:
    return load_study(write_word_study(home / tmp_path.name, home / "model", design="seeds = 3"))


def rough(study: Study) -> Price:
    return price_rough(study, measure_size(study.checkpoint.folder), SIZES, 0.5)


def test_a_rough_price_counts_products_and_the_optimizer(study: Study) -> None:
    size = measure_size(study.checkpoint.folder)
    recipe = study.baseline.at({"training.epochs": 2, "training.batch_size": 100})
    each = layer_products(size, 20.0)
    products = size.layers * each * (2 * 3 * 1_000 + 2 * 100 + 500)
    weights = size.layers * size.layer_weights + size.vocabulary * size.width

    assert run_seconds(recipe, size, SIZES, 1e9) == pytest.approx(products / 1e9 + 20 * weights * 3e-9)
    assert each == 20 * (2 * size.layer_weights + 4 * 20 * size.width)
    tokens = 20 * sum(SIZES.texts.values())  # no more words than that can occur
    many, more = (
        run_seconds(recipe, replace(size, vocabulary=10 * tokens * times), SIZES, 1e9) for times in (1, 2)
    )
    words = tokens * size.width - size.vocabulary * size.width
    assert many == more == pytest.approx(products / 1e9 + 20 * (weights + words) * 3e-9)
    frozen = recipe.at({"freeze.layers": size.layers})
    assert run_seconds(frozen, size, SIZES, 1e9) < run_seconds(recipe, size, SIZES, 1e9) / 2


def test_a_gpu_is_not_priced_before_it_is_probed(study: Study) -> None:
    run = study.head.run.model_copy(update={"device": "cuda"})
    there = replace(study, head=study.head.model_copy(update={"run": run}))

    assert guess_seconds(there, measure_size(study.checkpoint.folder), SIZES) is None
    price = rough(there)
    assert price_lines(price)[0] == f"price     {price.runs} runs, time not known before a probe"


def test_a_price_says_runs_minutes_what_they_decide_and_what_a_tenth_could(study: Study) -> None:
    price = rough(study)
    cost, decides, tenth = price_lines(price)

    assert price.runs == 24 and cost.startswith("price     24 runs, roughly ")
    assert "effects of " in decides and "noise assumed" in decides
    assert (
        tenth.startswith("a tenth   ")
        and "nothing fits; the least, fraction of resolution III (4 recipes x 1 seed)" in tenth
    )
    more_seeds = rough(with_seeds(study, 40))
    assert more_seeds.tenth is not None and more_seeds.option.detects < price.option.detects
    assert "(4 recipes x " not in price_lines(more_seeds)[2] or "effects of" in price_lines(more_seeds)[2]


def with_seeds(study: Study, seeds: int) -> Study:
    design = study.head.design.model_copy(update={"seeds": seeds})
    return replace(study, head=study.head.model_copy(update={"design": design}))


def test_one_seed_of_a_design_that_leaves_nothing_over_promises_nothing(study: Study) -> None:
    def decided(of: Study) -> str:
        price = rough(of)
        return describe_decided(price.option, price.assumed)

    assert "no size of effect can be promised" in decided(with_seeds(study, 1))
    assert "what free factors are worth" in decided(replace(study, factors={}))


def test_above_an_hour_it_is_said_how_to_ask_for_less(study: Study) -> None:
    price = rough(study)
    (line,) = less_lines(replace(price, seconds=3_601.0), Path("mine"))

    assert less_lines(replace(price, seconds=3_600.0), Path("mine")) == []
    for command in ("plan mine --budget 1h", "run mine --for 1h", "run mine --seeds 2"):
        assert f"finegrid {command}" in line


PROSE = re.compile(r"(?:\b[A-Za-z][a-z]+\b[ ,]+){2,}[a-z]+")
NUMBER = re.compile(r"\d[\d.,]*\d|\d")
NAMED = re.compile(r"finegrid [\x20-\x7e]+|/\S+")  # commands and paths


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_english_and_chinese_phrases_have_the_same_keys_and_fields() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    assert [key for key in ENGLISH if fields(ENGLISH[key]) != fields(CHINESE[key])] == []


def test_what_files_were_read_as_has_the_same_keys_and_fields_in_both_languages() -> None:
    for module in (reading_phrases, init_words):
        english, chinese = module.ENGLISH, module.CHINESE
        assert english.keys() == chinese.keys()
        assert [key for key in english if fields(english[key]) != fields(chinese[key])] == []


def without_pooler(option: Option | None) -> Option | None:
    left_out = ("reinit.pooler",)
    return option and replace(option, candidate=replace(option.candidate, without=left_out))


@pytest.mark.parametrize("seeds", [1, 3, 40])
def test_a_price_in_chinese_has_the_same_numbers_and_no_english(study: Study, seeds: int) -> None:
    price = replace(rough(with_seeds(study, seeds)), seconds=7_200.0)
    price = replace(price, tenth=without_pooler(price.tenth), smallest=without_pooler(price.smallest))
    shown = [*price_lines(price, "zh"), *less_lines(price, Path("mine"), "zh")]
    english = [*price_lines(price), *less_lines(price, Path("mine"))]

    assert [line for line in shown if PROSE.search(NAMED.sub("", line))] == []
    assert all(re.search("[一-鿿]", line) for line in shown) and len(shown) == len(english)
    assert [sorted(NUMBER.findall(line)) for line in shown] == [
        sorted(NUMBER.findall(line)) for line in english
    ]


def test_a_run_is_priced_first_and_begins_nothing_that_does_not_end_in_time(
    home: Path, tmp_path: Path, call: Call
) -> None:
    folder = write_word_study(home / tmp_path.name, home / "model", {"schedule.warmup_ratio": [0.0, 0.1]})
    short = call("run", folder, "--for", "0.01s", "--rows", "1")
    whole = call("run", folder, "--for", "1h")

    assert short.returncode == 3 and "run 1 of" not in short.stderr
    assert "no run that is left would end in time: 1 of 1 run left" in short.stderr
    assert f"next: finegrid run {folder} --rows 1" in short.stderr
    assert "price     " not in short.stderr
    assert whole.returncode == 0 and len(records(folder)) == 2
    said = whole.stderr.splitlines()
    cost = next(line for line in said if line.startswith("price     2 runs, predicted"))
    assert said.index(cost) < next(n for n, line in enumerate(said) if line.startswith("run 1 of 2"))
    again = call("run", folder, "--for", "1h")
    assert again.returncode == 0 and "price" not in again.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--for", "soon"), '--for found "soon", expected hours, minutes or seconds'),
        (("--for", "1h", "--until-decided"), "which takes --budget 1h: it adds whole seeds only"),
    ],
)
def test_a_time_that_is_none_or_that_stands_beside_looks_is_refused(
    home: Path, tmp_path: Path, call: Call, options: tuple[str, ...], expected: str
) -> None:
    done = call("run", write_word_study(home / tmp_path.name, home / "model"), *options)

    assert done.returncode == 2 and expected in " ".join(done.stderr.split())


def test_init_ends_with_a_price_and_the_next_command(home: Path, tmp_path: Path, call: Call) -> None:
    done = call(
        "init", "--train", home / "data" / "train.tsv", "--model", home / "model", "--out", tmp_path / "s"
    )
    said = done.stdout.splitlines()

    assert done.returncode == 0
    assert any(line.startswith("price     48 runs, roughly") for line in said)
    assert any(line.startswith("settings  max_length 16, batch_size 16, epochs 20") for line in said)
    assert said[-1].startswith(f"next: finegrid plan {tmp_path / 's'} --probe")


def test_init_in_chinese_says_as_much_as_in_english(home: Path, tmp_path: Path, call: Call) -> None:
    options = ("--train", home / "data" / "train.tsv", "--model", home / "model", "--out")
    english = call("init", *options, tmp_path / "s").stdout.splitlines()
    shown = call("init", *options, tmp_path / "t", "--lang", "zh").stdout.splitlines()

    assert len(shown) == len(english)
    assert [line for line in shown if not re.search("[一-鿿]", line)] == []
    assert [line for line in shown if PROSE.search(NAMED.sub("", line))] == []
    for zh, en in zip(shown[:10], english, strict=False):
        assert sorted(NUMBER.findall(zh)) == sorted(NUMBER.findall(en))
    assert shown[-1].startswith(f"下一步：finegrid plan {tmp_path / 't'} --probe ")


def test_texts_that_are_not_chinese_ask_for_a_model_and_name_some(tmp_path: Path, call: Call) -> None:
    words = "what is the name of the town that was in the news"
    rows = [(f"{words} {text}", label) for text, label in draw_texts(60)]
    train = write_tsv(tmp_path / "train.tsv", rows)
    done = call("init", "--train", train, "--out", tmp_path / "study")
    told = " ".join(done.stderr.split())

    assert done.returncode == 2 and not (tmp_path / "study").exists()
    assert "--model missing. Without it, mini-zh is taken, which knows Chinese alone" in told
    assert "your texts look English" in told and "--model google-bert/bert-base-uncased; or" in told


def test_a_value_that_is_not_its_factors_first_level_is_warned_of(
    home: Path, tmp_path: Path, call: Call
) -> None:
    levels: dict[str, list[object]] = {
        "training.epochs": [3, 6],
        "optimizer.rate": [0.1, 0.01],
        "schedule.warmup_ratio": [0.0, 0.1],
    }
    done = call("plan", write_word_study(home / tmp_path.name, home / "model", levels))
    told = " ".join(done.stderr.split())

    assert "baseline: training.epochs = 3, optimizer.rate = 0.1, schedule.warmup_ratio = 0.0" in done.stdout
    assert "training.epochs = 2, but it is varied, and 2 is none of its levels: the baseline has 3" in told
    assert "optimizer.rate = 0.01, but it is varied, and 0.01 is not its first level" in told
    assert "warmup" not in told


@pytest.mark.slow
def test_once_probed_fractions_are_taken_over_the_factors_that_do_something(
    home: Path, tmp_path: Path
) -> None:
    levels: dict[str, list[object]] = {
        "optimizer.bias_correction": [True, False],
        "optimizer.decay_on": ["all", "matrices"],
        "reinit.layers": [0, 1],
        "reinit.pooler": [False, True],
    }
    folder = write_word_study(home / tmp_path.name, home / "model", levels, design="seeds = 40")
    audit = make_audit(open_study(folder))
    save_audit(folder, audit)
    study = load_study(folder)
    candidates, missing = find_candidates(study, audit)
    price = price_measured(study_status(study, study.head.run))

    (fraction,) = (one for one in candidates if one.study.head.design.kind == "fractional")
    assert (fraction.without, missing) == (("reinit.pooler",), ())
    assert fraction.study.factors.keys() == levels.keys() - {"reinit.pooler"}
    assert describe_without(fraction) == ", without reinit.pooler, which does nothing"
    # Which design a tenth buys depends on what this machine has measured.
    assert price is not None and price.tenth is not None
    assert price.runs == 8 * 40 and price.tenth.left <= price.runs / 10

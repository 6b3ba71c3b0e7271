"""What files keep in English is told in Chinese, with its names and numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from support.english import english_words
from support.levels import ON

import finegrid
from finegrid.data.clean_files import OF_ROWS
from finegrid.encoders.families import inspect
from finegrid.in_chinese import METHODS, PATTERNS, name_method, name_state, translate
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import LESS_MEMORY, MemoryNeeds
from finegrid.running.process import HANGS
from finegrid.spelling import format_duration
from finegrid.study.importing.examples import load_example

SOURCE = Path(finegrid.__file__).parent

SENTENCES = [
    'pooler.dense.weight, pooler.dense.bias never reach the loss under model.pooling = "first-last-mean"',
    'pooler.dense.weight never reaches the loss under model.pooling = "cls"',
    "it changes no tensor, rate, decay or dropout site that reaches the loss",
    "not estimable: the runs that finished do not show it",
    "aliased: this design cannot tell it from a x b, c x d",
    "test: 2 texts nearly like one of train (similarity from 0.8), e.g. 'a b' is like 'a c'",
    '"lion", "sgd" at the rate of another optimizer: each needs one of its own. Give every kind its rate '
    'in a bundle, as the preset "optimizers" does.',
    "train: 8 repeated rows, same text and same label, e.g. 'x' (train.tsv line 2)",
    "train: 1 class with fewer than 10 texts, e.g. 'y' (8)",
    "dev: 1 text also in train, with another label, e.g. 'z'",
    "a usual pair of names",
    "a usual name: 'text'",
    "the only other column",
    "the longest strings",
    "the only one with few values",
    "columns are said by name",
    "a cell of the first line comes again below it",
    "its cells are no names",
    "all files begin with it",
    "the files begin differently",
    "it reads like names, and no cell of it comes again",
    "it reads like a row",
    "repeated row",
    "text with more than one label",
    "text also in test, but for case and blanks",
    "text nearly like one of dev",
    "text nearly like an earlier one",
    "a fraction of resolution III",
    'study.toml has now in [design]: resolution = "V"',
    "study.toml has this already",
    "protocol best-test: epochs are chosen on the test set, so test scores are too high",
    "BERT, 312 wide, 4 layers",
    "decided at the look with 5 seeds, by +0.40 to +1.20",
    # files that others have touched
    "runs.jsonl: 1 line left out (line 2: run_id is missing). Runs that have no other line are missing; "
    "`finegrid run` trains them",
    "runs.jsonl: 5 lines left out (line 2: written by a newer finegrid (schema 2); update finegrid; line 3: "
    "run_id is missing; line 4: run_id is missing; and 2 more). Runs that have no other line are missing; "
    "`finegrid run` trains them",
    "looks.jsonl: 1 line left out (line 1: run_id is missing). What these looks have decided does not count",
    "4 finished runs without predictions, which are lost or damaged (predictions/1.npz, predictions/2.npz, "
    "predictions/3.npz, and 1 more). They count as missing; `finegrid run` trains them again",
    "audit.json does not fit and is treated as none (device_memory is missing). `finegrid run` makes it anew",
    # what does nothing
    "2 epochs are over before it could end a run",
    "no batch has more texts",
    "no row can have it",
    'the head pools by "cls", whatever model.pooling says',
    "does nothing: it changes no tensor, rate, decay or dropout site that reaches the loss",
    "all its levels are one run",
    "all its levels are one run; freeze.layers of b = on: no row can have it; clip.norm of b = off: no row "
    "can have it",
    # effects
    "not estimable: a = 1 and b = 2 are the same in every recipe that ran",
    "not estimable: 1 and 2 are one run here",
    "not estimable: 1 and 2 are one run here (freeze.layers: no row can have it)",
    "not estimable as defined: 2 of 4 comparisons lack a recipe without any finished run; this is the mean "
    "of the other 2",
    "does nothing with the dropped factors at their first level, so measured in the fraction of 8 rows "
    "alone; `finegrid plan` says what such a fraction measures together",
    "dropped on dev (no difference beyond 0.2), so measured in the fraction of 8 rows alone; `finegrid plan` "
    "says what such a fraction measures together",
    # decisions of screens
    "use, or its aliases",
    "do not use, diverges in 16 of 48 runs, all with a.b = 1 (its first level: 0 of 48)",
    "do not use, does not learn in 3 of 8 runs (its first level: 1 of 8)",
    "do not use, diverges or does not learn in 3 of 8 runs (its first level: 1 of 8), or its aliases",
    "no difference beyond 0.25, with its aliases, but measurable, use for speed",
    "cannot tell yet",
    # data
    "train: 1 text with more than one label, e.g. 'a b' ('x' in t.tsv line 2, 'y' in t.tsv line 5)",
    "dev: 3 texts with more than one label in rows that are equal but for case and blanks, e.g. 'a b' ('x' "
    "in d row 2, 'y' in d row 5)",
    "test: 2 texts also in train, but for case and blanks, with the same label, e.g. 'A' (t line 2) is 'a' "
    "(u line 3)",
    "test: 2 texts also in train, but for case and blanks, with another label, e.g. 'A' (t line 2) is 'a' (u "
    "line 3)",
    "test: 2 texts also in train, with the same label, e.g. 'a' (train.tsv line 4, test.tsv line 5)",
    "test: 2 texts with the same tokens as one of train, e.g. 'A' is 'a'",
    "test: 2 texts with the same tokens as one of train once cut at model.max_length = 12, e.g. 'A' is 'a'",
    "test: 9 texts of 2 groups also in train, e.g. 'mary'; 'john'",
    "dev: 1 text with characters lost in an earlier conversion (U+FFFD), e.g. 'a' (dev.tsv line 3)",
    "train: 2 classes with fewer than 10 texts, e.g. 'y' (8); 'z' (1)",
    "test: no text of 2 classes that train has, e.g. 'y'; 'z'",
    "train: 12 of 40 texts are longer than model.max_length = 64 tokens and are cut; 7% of their tokens are "
    "lost (the longest has 99).",
    "texts.extra = more.tsv: 12 of 50000 drawn texts are longer than model.max_length = 64 tokens and are "
    "cut; 7% of their tokens are lost (the longest has 99).",
    "dev: 3 pairs of which one text gives no token.",
    "12 % of the tokens of train, 7 % of dev are unknown to this checkpoint's vocabulary, e.g. 'x', 'y'; 2 "
    "texts have no known token. Does the checkpoint know the texts' language?",
    "12 % of the tokens of test are unknown to this checkpoint's vocabulary; 1 text has no known token. Does "
    "the checkpoint know the texts' language?",
    "a.tsv: 2 rows without a group; each is a group of its own",
    "a.tsv: no two rows share a group. Is data.group the right column?",
    "near-twins were not looked for, since there are 300,000 texts, more than 200,000. finegrid init "
    "--near-twins looks for them, in about 2 h 10 min here",
    "labels that look alike: 'Sport' (20) and 'sport' (3); 'a' (1) and 'A' (1); and 2 more. Each spelling is "
    "a class of its own here. Write them alike: finegrid init --clean OUT takes the most frequent spelling",
    "labels of 3 classes joined by '|' ('a|b'): a text has one label here, and 12 rows name several. Each "
    "combination is a class of its own. What takes several labels is multi-label classification, which "
    "finegrid does not do yet",
    "labels of 3 classes joined in a list ('[1, 2]'): a text has one label here, and 1 row names several. "
    "Each combination is a class of its own. What takes several labels is multi-label classification, which "
    "finegrid does not do yet",
    "the labels are 120 different numbers from 0.5 to 9: that looks like regression, which finegrid does not "
    "do. Is this the right label column? Else make classes of the numbers, such as low and high",
    # files
    "a.csv: in line 7 a quoted text begins that holds whole rows, with their labels. If quotation marks are "
    'ordinary text here, set quoting = "none"',
    "a.csv: in lines 7, 8 and 9 a quoted text begins that holds whole rows, with their labels. If quotation "
    "marks "
    'are ordinary text here, set quoting = "none"',
    "a.csv: in lines 7, 8, 9, 10, 11 and 4 more a quoted text begins that holds whole rows, with their "
    "labels. If "
    'quotation marks are ordinary text here, set quoting = "none"',
    "a.csv: the first line was read as a header, but its label 'x' is also that of 3 rows. If it is data, "
    "set header = false",
    "a.csv is not UTF-8 and was read as GB18030, e.g. 'x'. If that reads well, set encoding = \"gb18030\"; "
    "if not, save the file as UTF-8",
    'a.csv was read as BIG5 because encoding = "big5", but it is valid UTF-8 too. If its texts look wrong, '
    "set "
    'encoding = "auto"',
    "a.csv: 2 byte order marks (U+FEFF) inside the file, the first in line 30: taken off",
    # checkpoints
    "weights: 'embeddings.task.weight' are not used, since config.json does not ask for them. Is it the "
    "config.json that belongs to the weights?",
    "tokenizer: 2 tokens without an embedding ('x', 'y'): texts with them are refused.",
    "tokenizer: it has 100 tokens, but the encoder has embeddings for 21,128. Are both from the same "
    "checkpoint?",
    "tokenizer: its vocabulary has no [CLS], [SEP], which go around every text and were added at its end. Is "
    "it the tokenizer of this checkpoint?",
    "tokenizer: it puts no special tokens around a text, such as [CLS] and [SEP], with which encoders of "
    "this family were trained. Is it the tokenizer of this checkpoint?",
    "tokenizer: 9,000 of 21,128 pieces have capitals, such as 'A', 'B', and this tokenizer never makes them, "
    "since it lowercases. Is do_lower_case = false missing in tokenizer_config.json?",
    "distil.teacher = ../big was not kept from the training texts of every run: it may have been trained on "
    "texts of dev or test, and what learns from it would then look better than it is",
    "study.toml: optimizer.rate = 0.01, but it is varied, and 0.01 is none of its levels: the baseline has "
    "0.001, the first level. Write the same value in both places.",
    "study.toml: optimizer.rate = 0.01, but it is varied, and 0.01 is not its first level: the baseline has "
    "0.001, the first level. Write the same value in both places.",
    "study.toml: optimizer.rate = 5e-05 without a warmup. From 2e-05 on XLM-RoBERTa often ends with one "
    "class for all texts. Set schedule.warmup_ratio to 0.1, or the rate to 1e-05.",
    # what a level changes
    "freeze.layers = 3 changes more than its own thing: starts 3 tensors of embeddings, layers 1-3, 5, head "
    "from other values, freezes 1 tensor of pooler. Its effect cannot be told apart.",
    "freeze.layers = 3 (with clip.norm = 1.0): one step on the model shows no change. It may do nothing.",
    # why a run has no result
    "the loss was -inf at step 3 of 100",
    "the norm of the gradients was not finite at step 3 of 100",
    "the norm of the gradients was not finite at a step of epoch 2",
    "a dev prediction was not finite after epoch 2",
    "a test prediction was not finite at epoch 2",
    "the worker process ended with signal 9 (killed; often: out of memory); see logs/worker-0.log",
    f"the worker process ended with signal 9 (killed; often: out of memory: {LESS_MEMORY}); see logs/0",
    f"out of memory: {LESS_MEMORY}; see logs/worker-0.log",
    f"out of memory (tried to allocate 3.64 GiB): {LESS_MEMORY}",
    f"out of memory (tried to allocate 3.64 GiB): {MemoryNeeds(33, recompute=False).less()}",
    f"out of memory: {MemoryNeeds(4, recompute=True).less()}; see logs/worker-0.log",
    f"out of memory: {MemoryNeeds(1, recompute=True).less()}; see logs/worker-0.log",
    "the worker process ended with signal 9 (killed; often: out of memory: "
    f"{MemoryNeeds(1, recompute=False).less()}); see logs/0",
    "the worker process ended with signal 11; see logs/worker-0.log",
    "the worker process ended with exit code 3; see logs/worker-0.log",
    # why a worker is lost, or a node left out
    "3 workers were lost with it; the last one: its process on n1 ended with signal 9 (killed; often: out "
    f"of memory: {LESS_MEMORY})",
    "its worker on n1 died",
    "n1 died, or cannot be reached",
    "Ray killed it on n1, which ran out of memory",
    "n1 has said nothing for 60 s",
    f"the worker process did nothing for 300 s while it began: {HANGS}",
    f"on n1 the worker process was not ready after 6 h: {HANGS}",
    "on n1 no part of a file has come for 300 s",
    "n1: no part of a file has come for 300 s",
    "it has Zen5 (torch 2.12.0), the others Zen4 (torch 2.12.0)",
    "it has torch 2.11.0; who started the study has torch 2.12.0",
    "it has torch –; who started the study has torch 2.12.0",
    "its processor has no bf16 products (amx_bf16 or avx512_bf16)",
    "its seeds do not connect the recipes (most runs have a seed of their own), so rows of one recipe were "
    "taken as repeats",
]
# Modules whose table of words is new to nobody who reads Chinese.
TABLES = (
    *("inference.fit", "planning.words", "pretraining.words", "running.progress.words"),
    *("study.aliases", "study.confounding", "study.lock_words", "verdict.interim", "verdict.screening"),
)
# The functions that make sentences which files keep, by module: each has an example above.
SOURCES = {
    "audit/canonical.py": {"find_reason"},
    "data/delimited_rows.py": {"_doubt_header", "_doubt_long_texts"},
    "data/doctor.py": {
        *("find_group_warnings", "_find_repeated_rows", "_find_conflicting_labels"),
        *("_find_replacement_characters", "_find_small_classes"),
    },
    "data/encoding.py": {"_strip_marks", "_tell_guess"},
    "data/label_findings.py": {
        *(
            "find_label_warnings",
            "_find_joined_labels",
            "_find_look_alikes",
            "_take_apart",
            "describe_quantity",
        ),
    },
    "data/leaks.py": {
        "find_leaks",
        "_find_near_twins",
        "_find_shared_groups",
        "_find_shared_texts",
        "_tell_shared",
    },
    "data/token_facts.py": {"describe_unknown", "find_token_warnings"},
    "data/token_twins.py": {"find_token_twins"},
    "encoders/tokenizer.py": {"find_warnings"},
    "encoders/weights.py": {"find_warnings"},
    "refusals.py": {"describe_failure"},
    "results/load.py": {"describe_bundle"},
    "running/process.py": {"describe_exit"},
    "running/cluster/facts.py": {"find_unfit"},
    "running/cluster/session.py": {"_give_up_hung", "_greet"},
    "running/cluster/remote.py": {"describe_loss", "tell_loss"},
    "running/cluster/shipment.py": {"take"},
    "running/crew.py": {"tell_end"},
    "running/life.py": {"look"},
    "running/scheduling.py": {"take_back", "take_down_ended"},
    "statistics/effects.py": {"_not_given", "_notes"},
    "study/audit_file.py": {"warning"},
    "study/load.py": {"find_collapse", "find_other_baselines"},
    "training/run.py": {"check", "check_gradients", "judge", "take_test", "update"},
    "training/teachers.py": {"warnings"},
    "verdict/interim.py": {"keep_decision"},
    "verdict/verdict.py": {"add_note"},
}
# Of texts to predict: nothing keeps what they say.
OF_PREDICTIONS = {("data/unlabelled.py", "find_texts"), ("data/unlabelled.py", "_take_labels")}
AN_ERROR = "reads like a header: . Set header = true, or take the line out"  # errors stay English
NUMBER = r"\d+(?:\.\d+)*"


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_recorded_sentence_is_chinese_and_keeps_its_numbers(sentence: str) -> None:
    said = translate(sentence, "zh")

    assert re.search("[\u4e00-\u9fff]", said) and translate(sentence, "en") == sentence
    assert sorted(re.findall(NUMBER, said)) == sorted(re.findall(NUMBER, sentence))
    assert "{" not in said and english_words(said) == []


def test_why_a_single_row_is_taken_out_of_clean_files_is_chinese() -> None:
    assert [why for why in OF_ROWS.values() if translate(why, "zh") == why] == []


def test_what_has_no_chinese_stays_as_it_is() -> None:
    assert translate("somebody's own note", "zh") == "somebody's own note"


def test_the_notes_of_the_published_table_are_all_chinese() -> None:
    imported = load_example("thucnews64-published")

    for sentence in (*imported.notes, *imported.inert.values()):
        assert translate(sentence, "zh") != sentence


def test_no_two_patterns_say_the_same() -> None:
    assert len({chinese for _, chinese in PATTERNS}) == len(PATTERNS)


def test_methods_states_and_durations_are_chinese() -> None:
    assert {name_method(method, "en") for method in METHODS} == set(METHODS)
    assert name_method("Lenth's method", "zh") == "Lenth 法" and name_state("failed", "zh") == "失败"
    told = [format_duration(seconds, "zh") for seconds in (0.32, 5, 600, 7800)]
    assert told == ["0.32 秒", "5 秒", "10 分钟", "2 小时 10 分钟"]


def fragments_of(module: str, functions: set[str]) -> Iterator[str]:
    """Each stretch of words that stands in these functions, docstrings and messages of errors left out."""
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef) or node.name not in functions:
            continue
        spoken = [one for one in node.body if ast.get_docstring(node) is None or one is not node.body[0]]
        for one in (part for statement in spoken for part in ast.walk(statement)):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield from re.findall(r"[A-Za-z][a-z]* [a-z][a-z ]*[a-z]", one.value)


@pytest.mark.parametrize("module", SOURCES)
def test_every_sentence_that_is_recorded_has_an_example_above(module: str) -> None:
    """So a new one, or one that is worded anew, comes with its Chinese."""
    fragments = [*fragments_of(module, SOURCES[module])]

    assert fragments
    assert [words for words in fragments if not any(words in one for one in (*SENTENCES, AN_ERROR))] == []


def warns(function: ast.FunctionDef) -> bool:
    """Whether it yields sentences, or adds to warnings."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith("warnings.append") or called == "format_warning":
                return True
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.JoinedStr | ast.Constant):
            return True
    return False


def test_whoever_warns_of_data_and_checkpoints_is_listed_above() -> None:
    found = {
        (f"{room}/{path.name}", node.name)
        for room in ("data", "encoders")
        for path in (SOURCE / room).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and warns(node)
    }
    listed = {(module, name) for module, names in SOURCES.items() for name in names}

    assert len(found) > 10 and found - listed - OF_PREDICTIONS == set()


def test_a_text_of_the_user_is_not_put_into_chinese() -> None:
    said = translate(
        "test: 1 text also in train, with the same label, e.g. 'x, is <train>; y' (a line 1, b line 2)", "zh"
    )

    assert said == "测试集：1 条文本也在训练集中，标签相同，例如 'x, is <train>; y'（a 第 1 行、b 第 2 行）"


def test_what_a_level_amounts_to_is_told_in_chinese(bert: Path) -> None:
    checkpoint, told = inspect(bert), set()
    for factor, level in ON.items():
        part, _, name = factor.partition(".")
        one = getattr(Recipe().at({factor: level}), part)
        english = one.explain_level(name, checkpoint, 1000)
        chinese = one.explain_level(name, checkpoint, 1000, "zh")
        assert bool(english) == bool(chinese) and english_words(chinese) == []
        assert sorted(re.findall(NUMBER, chinese)) == sorted(re.findall(NUMBER, english))
        told |= {factor} if english else set()

    assert told >= {"rates.layer_decay", "schedule.shape", "training.patience"}


@pytest.mark.parametrize("words", TABLES, ids=str)
def test_tables_of_words_have_no_english_in_their_chinese(words: str) -> None:
    """Of what a run and a plan say: each key has Chinese, with the fields of its English."""
    tables: dict[str, dict[str, str]] = import_module(f"finegrid.{words}").WORDS
    fields = {
        lang: {key: sorted(re.findall(r"\{(\w+)", said)) for key, said in told.items()}
        for lang, told in tables.items()
    }

    assert [
        line for said in tables["zh"].values() for line in english_words(re.sub(r"\{.*?\}", "", said))
    ] == []
    assert {key for key in fields["en"] if fields["en"][key] != fields["zh"][key]} <= {
        "run",
        "row",
        "rows",
        "look",
    }

"""The whole command on a tiny corpus: what it makes, that it goes on after a kill, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.english import english_words
from support.pretrain_samples import settings_of, text_of, write_config, write_lines

from finegrid.encoders.families import inspect
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import InputError
from finegrid.model.load import load_encoder
from finegrid.pretraining import loop
from finegrid.pretraining.command import pretrain
from finegrid.pretraining.folder import PretrainFolder
from finegrid.pretraining.settings import PretrainSettings
from finegrid.spelling import Telling


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("corpus") / "lines.txt", text_of(0))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("shape") / "shape.json")


class Killed(Exception):
    """Stands for a SIGKILL."""


def make(settings: PretrainSettings, out: Path, threads: int = 1, save: float = 1e9) -> list[str]:
    """Returns what it told, in English; each line has its Chinese."""
    said: list[str] = []

    def tell(telling: Telling) -> None:
        said.extend(telling("en"))
        assert english_words("\n".join(telling("zh"))) == []

    pretrain(settings, out, threads, tell, "finegrid pretrain --its options", save)
    return said


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, settings: PretrainSettings, out: Path) -> None:
    """Run up to a step, saving after each, and break off in the middle of the next."""
    with monkeypatch.context() as patch:
        whole = loop.PretrainLoop.step

        def until(self: loop.PretrainLoop, *rest: Any) -> None:
            whole(self, *rest)
            if self.progress.step > step:
                raise Killed

        patch.setattr(loop.PretrainLoop, "step", until)
        with pytest.raises(Killed):
            make(settings, out, save=0.0)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def curve(out: Path) -> list[dict[str, float]]:
    points = json.loads((out / "pretraining.json").read_text())["progress"]["curve"]
    return [{name: value for name, value in point.items() if name != "seconds"} for point in points]


def test_from_nothing_it_makes_a_checkpoint_that_transformers_and_finegrid_load(
    tmp_path: Path, corpus: Path, config: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer, BertForMaskedLM

    out = tmp_path / "made"
    make(settings_of(corpus, config=config, dtype="bfloat16"), out)
    encoder, report = AutoModel.from_pretrained(out, output_loading_info=True, dtype=torch.float32)
    _, missing = load_encoder(inspect(out))
    masked, masked_report = BertForMaskedLM.from_pretrained(
        out, output_loading_info=True, dtype=torch.float32
    )

    assert not report["missing_keys"] and not masked_report["missing_keys"] and missing == []
    assert encoder.pooler.dense.weight.abs().sum() > 0
    assert masked.get_input_embeddings().weight is masked.get_output_embeddings().weight
    assert {t.dtype for t in weights(out).values()} == {torch.bfloat16}
    theirs, ours = AutoTokenizer.from_pretrained(out), load_tokenizer(out)
    assert theirs("ba be bi")["input_ids"] == ours.encode("ba be bi").ids
    assert ours.decode(ours.encode("BA be").ids) == "ba be" and ours.encode("ba").ids[0] == 2
    assert not (out / "work").exists()


def test_the_card_tells_how_the_checkpoint_was_made(tmp_path: Path, corpus: Path, config: Path) -> None:
    out = tmp_path / "made"
    make(settings_of(corpus, config=config), out)
    card = (out / "README.md").read_text()
    last = curve(out)[-1]

    assert hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest() in card
    assert "finegrid pretrain --its options" in card
    assert "| lines.txt | 80 | 0 | 0 | 0 | 80 |" in card
    assert f"loss {last['loss']:.4f}" in card and f"{last['tokens']:,} tokens" in card


@pytest.mark.slow
def test_it_learns(tmp_path: Path, corpus: Path, config: Path) -> None:
    make(settings_of(corpus, config=config, tokens=24_000, rate=1e-2, pair_share=0.0), tmp_path / "made")
    first, *_, last = curve(tmp_path / "made")

    assert last["loss"] < first["loss"] - 0.25
    assert first["tokens"] == 0 and last["tokens"] >= 24_000


def test_a_run_killed_while_its_folder_was_put_aside_goes_on(
    tmp_path: Path, corpus: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(corpus, config=config)
    killed_at(monkeypatch, 5, settings, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    said = make(settings, tmp_path / "out")

    assert not any("vocabulary" in line for line in said)  # it would have begun with that
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("grow", [(2, 4), pytest.param((), marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_bits(
    tmp_path: Path, corpus: Path, config: Path, grow: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(corpus, config=config, grow=grow)
    make(settings, tmp_path / "whole", threads=2)
    for step in (0, 5, 11, 13):
        killed_at(monkeypatch, step, settings, tmp_path / "killed")
    make(settings, tmp_path / "killed")
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")

    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert curve(tmp_path / "whole") == curve(tmp_path / "killed")
    assert inspect(tmp_path / "killed").layers == 4


def test_going_on_from_a_checkpoint_keeps_its_vocabulary(tmp_path: Path, corpus: Path, bert: Path) -> None:
    make(settings_of(corpus, init=str(bert), tokens=1000), tmp_path / "made")

    assert (tmp_path / "made" / "tokenizer.json").read_bytes() == (bert / "tokenizer.json").read_bytes()
    before, after = load_encoder(inspect(bert))[0], load_encoder(inspect(tmp_path / "made"))[0]
    moved = [(a - b).abs().max().item() for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert 0 < max(moved) < 0.1


def test_a_budget_of_time_is_kept(tmp_path: Path, corpus: Path, config: Path) -> None:
    make(settings_of(corpus, config=config, tokens=None, seconds=0.5), tmp_path / "made")
    about = json.loads((tmp_path / "made" / "pretraining.json").read_text())

    assert 0.5 <= about["progress"]["seconds"] < 5


@pytest.mark.slow
def test_a_budget_of_time_goes_on_after_a_kill(
    tmp_path: Path, corpus: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(corpus, config=config, tokens=None, seconds=2.0)
    killed_at(monkeypatch, 5, settings, tmp_path / "made")
    make(settings, tmp_path / "made")
    about = json.loads((tmp_path / "made" / "pretraining.json").read_text())

    assert about["finished"] and 2.0 <= about["progress"]["seconds"] < 10
    steps = [point["tokens"] for point in about["progress"]["curve"]]
    assert steps == sorted(steps) and steps[0] == 0


@pytest.mark.parametrize("changed", [{"masking": "spans"}, {"dropout": True}])
def test_spans_and_dropout_learn_something_else(
    tmp_path: Path, corpus: Path, config: Path, changed: dict[str, Any]
) -> None:
    for out, more in (("plain", {}), ("changed", changed)):
        make(settings_of(corpus, config=config, tokens=1000, **more), tmp_path / out)
    plain, other = weights(tmp_path / "plain"), weights(tmp_path / "changed")

    assert all(torch.isfinite(t).all() for t in other.values())
    assert any(not torch.equal(t, other[name]) for name, t in plain.items())


def test_a_finished_folder_is_left_alone(tmp_path: Path, corpus: Path, config: Path) -> None:
    settings = settings_of(corpus, config=config, tokens=500)
    make(settings, tmp_path / "made")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}

    assert make(settings, tmp_path / "made") == [f"{tmp_path / 'made'} is finished; nothing to do"]
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}


def test_other_settings_are_refused_by_name(
    tmp_path: Path, corpus: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(monkeypatch, 2, settings_of(corpus, config=config), tmp_path / "made")

    with pytest.raises(InputError) as caught:
        make(settings_of(corpus, config=config, rate=1e-3, masking="spans"), tmp_path / "made")
    assert [problem.where for problem in caught.value.problems] == ["masking", "rate", ""]


def test_going_on_needs_the_very_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [write_lines(tmp_path / year / "lines.txt", text_of(number)) for number, year in enumerate("ab")]
    shape = write_config(tmp_path / "shape.json")
    settings = replace(settings_of(texts[0], config=shape), corpus=tuple(texts))
    killed_at(monkeypatch, 2, settings, tmp_path / "made")

    for path in (*texts, shape):
        before = path.read_text()
        path.write_text(before + "\n")
        with pytest.raises(InputError, match="files"):
            make(settings, tmp_path / "made")
        path.write_text(before)
    make(settings, tmp_path / "made")


def test_a_folder_with_other_files_is_refused(tmp_path: Path, corpus: Path, config: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")

    with pytest.raises(InputError, match="holds other files"):
        make(settings_of(corpus, config=config), tmp_path)


def test_a_refused_start_leaves_nothing_behind(tmp_path: Path, config: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        make(settings_of(tmp_path / "none.txt", config=config), tmp_path / "made")

    assert not (tmp_path / "made").exists()


def test_who_had_too_little_text_may_add_some(tmp_path: Path, config: Path) -> None:
    few = write_lines(tmp_path / "few.txt", ["ba", "be bi bo bu ba be bi bo"])
    with pytest.raises(InputError, match="Give more text"):
        make(settings_of(few, config=config), tmp_path / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.txt"]

    write_lines(few, text_of(0))
    make(settings_of(few, config=config, tokens=500), tmp_path / "made")


def test_documents_too_short_to_learn_from_are_counted(tmp_path: Path, config: Path) -> None:
    lines = write_lines(tmp_path / "lines.txt", [*text_of(0), "ba", "be"])
    said = make(settings_of(lines, config=config, tokens=500), tmp_path / "made")
    (count,) = json.loads((tmp_path / "made" / "pretraining.json").read_text())["files"]

    assert "2 documents of fewer than 4 tokens dropped" in said
    assert (count["lines"], count["short"], count["documents"]) == (82, 2, 80)
    assert count["characters"] == sum(map(len, text_of(0)))


def test_two_processes_do_not_share_a_folder(tmp_path: Path, corpus: Path, config: Path) -> None:
    with FileLock(tmp_path / ".made.lock"), pytest.raises(InputError, match="is at work in it"):
        make(settings_of(corpus, config=config), tmp_path / "made")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tokens": None}, "--tokens"),
        ({"seconds": 9.0}, "--tokens"),
        ({"tokens": 0}, "--tokens"),
        ({"init": "mini-zh"}, "--init"),
        ({"config": None}, "--init"),
        ({"corpus": ()}, "--corpus"),
        ({"weights": (1.0, 2.0)}, "--weight"),
        ({"grow": (4, 2)}, "--grow"),
        ({"grow": (2, 4), "config": None, "init": "mini-zh"}, "--grow"),
        ({"grow": (3, 4)}, "--grow"),
        ({"grow": (2, 6)}, "--grow"),
        ({"length": 4}, "--length"),
        ({"length": 65}, "64 positions"),
        ({"batch_tokens": 8}, "--batch-tokens"),
        ({"rate": 0.0}, "--rate"),
        ({"warmup": 1.0}, "--warmup"),
        ({"mask_share": 1.0}, "--mask-share"),
        ({"masking": "letters"}, "--masking"),
        ({"pair_share": -0.1}, "--pair-share"),
        ({"held_out": 0.0}, "--held-out"),
        ({"precision": "int8"}, "--precision"),
        ({"dtype": "float16"}, "--dtype"),
    ],
)
def test_settings_that_cannot_be_are_told(
    tmp_path: Path, corpus: Path, config: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        make(settings_of(corpus, **{"config": config} | changed), tmp_path / "made")


@pytest.mark.parametrize(
    "changed", [{"model_type": "gpt2"}, {"hidden_size": 15}, {"num_hidden_layers": 0}, {"vocab_size": "many"}]
)
def test_a_shape_that_is_no_bert_is_refused(tmp_path: Path, corpus: Path, changed: dict[str, Any]) -> None:
    shape = write_config(tmp_path / "shape.json", **changed)

    with pytest.raises(InputError, match="--config"):
        make(settings_of(corpus, config=shape), tmp_path / "made")


def test_other_families_are_refused(tmp_path: Path, corpus: Path, checkpoint_of: Any) -> None:
    with pytest.raises(InputError, match="only BERT"):
        make(settings_of(corpus, init=str(checkpoint_of("distilbert"))), tmp_path / "made")


@pytest.mark.parametrize("kind", ["damaged", "other tensors", "not finite", "other progress"])
def test_a_state_that_does_not_fit_is_set_aside_and_the_run_begins_anew(
    tmp_path: Path, corpus: Path, config: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    settings, out = settings_of(corpus, config=config), tmp_path / "made"
    killed_at(monkeypatch, 2, settings, out)
    state = out / "work" / "state.safetensors"
    with safe_open(state, "pt") as file:
        about = file.metadata()
    tensors = load_file(state)
    name = next(name for name in tensors if name.startswith("weight/"))
    if kind == "other tensors":
        tensors[name] = tensors[name][:1].clone()  # which would be copied to all rows
    elif kind == "not finite":
        tensors[name] = tensors[name] / 0
    elif kind == "other progress":
        about["progress"] = json.dumps({**json.loads(about["progress"]), "batch": 10**9})
    save_file(tensors, state, about)
    if kind == "damaged":
        state.write_bytes(b"something else")
    with monkeypatch.context() as patch:
        patch.setattr(loop.PretrainLoop, "run", lambda self: begun.append(self.progress.step))
        patch.setattr(PretrainFolder, "finish", lambda *made: None)
        begun: list[int] = []
        said = make(settings, out)

    assert begun == [0]
    assert [line for line in said if "set aside" in line or ".unfit" in line]
    assert state.with_name("state.safetensors.unfit").exists() and not state.exists()

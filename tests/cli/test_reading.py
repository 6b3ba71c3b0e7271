"""Commands that only read work where a study's data and model are not, and write nothing into its folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from support.audits import majority_of
from support.command_line import Call, Called
from support.pretend import TEXTS
from support.reported import SETTINGS, audited, audited_study, fill
from support.studies import save_checkpoint, sentence, write_study, write_texts, write_tsv

from finegrid.audit.costs import describe_checkpoint
from finegrid.errors import InputError
from finegrid.planning.status import study_status
from finegrid.planning.status_words import plan_lines
from finegrid.recipe.identity import ENGINE
from finegrid.report.facts.origin import checkpoint_facts
from finegrid.study.audit_file import Audit, RowAudit, load_audit, save_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.load import load_study, read_study
from finegrid.study.record import Epoch
from finegrid.watch.view import measure_progress

FAR = "study.toml reads files outside its folder: ../model\n"  # of what is there
COMMANDS: dict[str, tuple[str, ...]] = {
    "verdict": ("verdict", "{folder}"),
    "verdict as JSON": ("verdict", "{folder}", "--json"),
    "table": ("table", "{folder}"),
    "table as JSON": ("table", "{folder}", "--format", "json"),
    "status": ("status", "{folder}"),
    "status as JSON": ("status", "{folder}", "--json"),
    "plan": ("plan", "{folder}"),
    "plan as JSON": ("plan", "{folder}", "--json"),
    "report": ("report", "{folder}", "--out", "{out}/page.html"),
    "report as tables": ("report", "{folder}", "--format", "md"),
    "export": ("export", "{folder}", "--to", "csv", "--predictions", "--out", "{out}/tables"),
}


def answers(call: Call, folder: Path, out: Path) -> dict[str, str]:
    """What every reading command says, and what it writes elsewhere, without the places and the time."""
    out.mkdir(exist_ok=True)
    said: dict[str, str] = {}
    for name, command in COMMANDS.items():
        done: Called = call(*(part.format(folder=folder, out=out) for part in command))
        assert done.returncode == 0, (name, done.stderr)
        said[name] = done.stdout + done.stderr
    facts = json.loads((out / "page.json").read_text())
    said["facts"] = json.dumps(
        {key: value for key, value in facts.items() if key not in ("made", "texts", "why_no_texts")}
        | {"details": facts["details"] | {"texts": None, "answers": None}}
    )
    said["why no texts"] = str(facts["why_no_texts"])
    said |= {path.name: path.read_text() for path in sorted((out / "tables").iterdir())}
    return {
        key: text.replace(FAR, "")
        .replace(str(out), "OUT")
        .replace(str(folder), "DIR")
        .replace(folder.name, "DIR")
        for key, text in said.items()
    }


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder, by when it was written and how large it is."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
    }


def write_protect(folder: Path, protected: bool) -> None:
    """root may write nevertheless: that is why tests also look at what is there."""
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222 if protected else mode | stat.S_IWUSR)


@pytest.fixture
def moved_away(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Moves a study elsewhere, read-only, and takes all that was beside it away."""
    folders = []

    def move(study: Path) -> Path:
        to = tmp_path / "elsewhere" / "wombat"
        to.parent.mkdir()
        shutil.move(study, to)
        shutil.rmtree(study.parent)
        for path in (to / name for name in ("cache", "split.tsv", "train.tsv", "dev.tsv", "test.tsv")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        write_protect(to, True)
        folders.append(to)
        return to

    yield move
    for folder in folders:
        write_protect(folder, False)


def finished_study(home: Path, settings: str = SETTINGS, head: str = "") -> Path:
    """A study beside its model; dev and test are those that `pretend` scores."""
    model = save_checkpoint(home / "model", "bert")
    folder = write_study(home / "quokka", model, settings, 'score = "accuracy"\n' + head)
    text = (folder / "study.toml").read_text().replace(str(model), "../model")
    (folder / "study.toml").write_text(text)
    for number, part in enumerate(("dev", "test")):
        write_texts(folder / f"{part}.tsv", TEXTS, 10 + number)
    scores = {"macro-f1": 0.7, "accuracy": 0.7, "mcc": 0.5, "f1": {"x": 0.7, "y": 0.7, "z": 0.7}}
    took: dict[str, Any] = {"train_loss": 1.0, "train_seconds": 10.0, "dev_seconds": 0.5, "dev": scores}
    epochs = tuple(Epoch(epoch=number, **took) for number in (1, 2))
    fill(audited(folder), epochs=epochs)
    return folder


def test_a_study_is_read_where_its_data_and_its_model_are_not(
    tmp_path: Path, call: Call, moved_away: Callable[[Path], Path]
) -> None:
    study = finished_study(tmp_path / "home")
    draw = np.random.default_rng(7)
    fresh = write_tsv(tmp_path / "fresh.tsv", [(sentence(draw, n % 2, 12), "xy"[n % 2]) for n in range(20)])
    for command in (("confirm", study, "--seeds", "2"), ("confirm", study, "--seeds", "2", "--test", fresh)):
        assert call(*command).returncode == 0
    before = answers(call, study, tmp_path / "before")
    progress = measure_progress(study)

    there = moved_away(study)
    kept = files_in(there)
    after = answers(call, there, tmp_path / "after")

    assert (before.pop("why no texts"), after.pop("why no texts")) == ("None", "data-gone")
    assert before == after  # but for what is said of single texts
    assert "no longer where the study found them" in (tmp_path / "after" / "page.html").read_text()
    told = json.loads(after["facts"])
    assert sorted(one["fresh_texts"] for one in told["confirmed"]) == [False, True]
    assert told["protocol"]["checkpoint"] == {"name": "model", "family": "bert", "layers": 4}
    assert measure_progress(there) == progress
    assert files_in(there) == kept


def test_who_reads_a_drawn_split_does_not_write_it_down(tmp_path: Path, bert: Path, call: Call) -> None:
    """The texts are drawn anew, the same ones, to show them."""
    folder = write_study(tmp_path / "study", bert)
    settings = (folder / "study.toml").read_text()
    drawn = settings.replace('dev = "dev.tsv"\ntest = "test.tsv"', "dev_share = 0.3\ntest_share = 0.3")
    assert drawn != settings
    (folder / "study.toml").write_text(drawn)
    write_texts(folder / "train.tsv", 60, 0)
    assert call("run", folder).returncode == 0
    (folder / "split.tsv").unlink()

    assert call("report", folder, "--out", tmp_path / "page.html").returncode == 0
    assert json.loads((tmp_path / "page.json").read_text())["why_no_texts"] is None
    assert not (folder / "split.tsv").exists()


def test_what_another_engine_trained_is_read_and_left_alone(tmp_path: Path, bert: Path, call: Call) -> None:
    folder = write_study(tmp_path / "study", bert, SETTINGS)
    audit = load_audit(audited(folder).folder)
    assert audit is not None
    save_audit(folder, audit.model_copy(update={"engine": ENGINE - 1, "versions": {"finegrid": "0.0.1"}}))
    fill(load_study(folder))
    kept = files_in(folder)
    table, ran = call("table", folder), call("run", folder)

    assert table.returncode == 0 and "-" not in [row.split()[-1] for row in table.stdout.splitlines()[2:4]]
    assert call("verdict", folder).returncode == 0
    assert ran.returncode == 2
    assert f"of engine {ENGINE - 1} (finegrid 0.0.1), and this finegrid has engine {ENGINE}" in ran.stderr
    assert "copy study.toml to a new folder" in " ".join(ran.stderr.split())
    assert files_in(folder).items() >= kept.items()


@pytest.mark.slow
def test_a_hub_id_is_not_looked_up_to_read_what_it_made(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished_study(tmp_path / "home")
    before = answers(call, study, tmp_path / "out")
    settings = (study / "study.toml").read_text().replace("../model", "someone/bert")
    (study / "study.toml").write_text(settings)

    def refuse(*_: object, **__: object) -> str:
        raise AssertionError("a hub id was looked up")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    after = answers(call, study, tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {"facts"}  # they quote study.toml


@pytest.mark.parametrize("model", ["../model", "nobody/has-this"])
@pytest.mark.parametrize("command", ["verdict", "table", "status", "report", "export"])
def test_a_study_that_was_never_audited_cannot_be_read_without_its_model(
    tmp_path: Path, bert: Path, call: Call, command: str, model: str
) -> None:
    folder = write_study(tmp_path / "study", bert)
    settings = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(settings.replace(str(bert), model))

    done = call(command, folder, *(("--to", "csv") if command == "export" else ()))
    assert done.returncode == 2
    assert f'model.name    "{model}" is not on this machine, and no audit.json' in done.stderr
    assert "`finegrid run` trains it" in done.stderr


def test_a_preset_is_known_from_the_rows_where_the_audit_did_not_keep_the_checkpoint(
    tmp_path: Path, bert: Path
) -> None:
    """As of studies audited before audits did."""
    study = load_study(audited_preset(tmp_path, bert))
    audit = load_audit(study.folder)
    assert audit is not None
    save_audit(study.folder, audit.model_copy(update={"checkpoint": None}))
    settings = (study.folder / "study.toml").read_text()
    (study.folder / "study.toml").write_text(settings.replace(str(bert), "../gone"))

    read = read_study(study.folder)
    assert (read.rows, read.preset, read.known_checkpoint) == (study.rows, study.preset, None)
    assert checkpoint_facts(read) is None and fitting_audit(read) is not None
    with pytest.raises(InputError, match="no such folder"):  # who trains needs it
        load_study(study.folder)


def audited_preset(home: Path, checkpoint: Path) -> Path:
    """A study of a preset with an audit of its rows, which nobody made on a model."""
    settings = "[design]\nseeds = 1"
    folder = write_study(home / "study", checkpoint, settings, 'preset = "thucnews64"\n')
    rows = [
        RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={})
        for row in load_study(folder).rows
    ]
    audit = Audit(
        engine=ENGINE,
        fingerprints={},
        labels=["x", "y", "z"],
        sizes={"train": 24, "dev": 15, "test": 18},
        tokens={"mean": 5.0},
        majority=majority_of(["x", "y", "z"]),
        warnings=[],
        rows=rows,
        costs=[],
        versions={},
    )
    save_audit(folder, audit)
    return folder


@pytest.mark.parametrize("command", [("report",), ("export", "--to", "csv")])
def test_a_folder_that_cannot_be_written_asks_for_another_place(
    tmp_path: Path, bert: Path, call: Call, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """As on a read-only disk, also for root."""
    study = audited_study(tmp_path / "study", bert, '[factors]\n"reinit.layers" = [0, 2]').folder
    make = os.open

    def refuse(path: Any, flags: int, *mode: int, **at: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(study)):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return make(path, flags, *mode, **at)

    before = files_in(study)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", lambda path, _: refuse(path, os.O_WRONLY))
        patch.setattr("pathlib.Path.mkdir", lambda path, *_, **__: refuse(path, os.O_WRONLY))
        patch.setattr(os, "open", refuse)
        done = call(command[0], study, *command[1:])

    assert done.returncode == 2
    assert "cannot be written: Read-only file system. Name another place with --out." in done.stderr
    assert files_in(study) == before


def test_a_plan_needs_no_model_once_a_study_was_audited(tmp_path: Path, call: Call) -> None:
    model = save_checkpoint(tmp_path / "model", "bert")
    study = audited_study(tmp_path / "study", model, '[factors]\n"rates.layer_decay" = [1.0, 0.9]').folder
    before = call("plan", study)
    shutil.rmtree(tmp_path / "model")
    kept = files_in(study)
    after = call("plan", study)

    assert (after.returncode, after.stdout) == (0, before.stdout), after.stderr
    assert files_in(study) == kept


def test_a_folder_of_the_models_name_that_is_another_model_is_not_taken_for_it(
    tmp_path: Path, bert: Path
) -> None:
    """A copied study may come to lie beside anything."""
    study = load_study(audited_preset(tmp_path / "home", bert))
    audit = load_audit(study.folder)
    assert audit is not None
    save_audit(study.folder, audit.model_copy(update={"checkpoint": describe_checkpoint(study.checkpoint)}))
    other = tmp_path / "elsewhere" / bert.name
    save_checkpoint(other, "bert", num_hidden_layers=2)
    settings = (study.folder / "study.toml").read_text()
    (study.folder / "study.toml").write_text(settings.replace(str(bert), str(other)))

    assert read_study(study.folder).rows == study.rows
    assert load_study(study.folder).rows != study.rows


def test_what_levels_amount_to_by_layer_is_left_out_where_nobody_knows_the_layers(
    tmp_path: Path, bert: Path
) -> None:
    study = audited_study(tmp_path, bert, '[factors]\n"rates.layer_decay" = [1.0, 0.9]')
    unknown = replace(study, known_checkpoint=None)
    told, untold = ("\n".join(plan_lines(study_status(one, one.head.run))) for one in (study, unknown))

    assert "  rates.layer_decay = 0.9: " in told and "  rates.layer_decay = 0.9: " not in untold
    assert "is left out: the checkpoint is not here" in untold and "is left out" not in told

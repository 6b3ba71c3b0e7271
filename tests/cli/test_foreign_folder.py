"""A study folder that somebody else made: it writes nowhere but in itself, and waits for nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.command_line import Call
from support.studies import save_word_checkpoint, write_data, write_word_study

import finegrid as fg
from finegrid.errors import InputError
from finegrid.study.contents import fingerprint_contents
from finegrid.study.far_data import describe_far
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.study.ledger import Journal
from finegrid.study.load import load_study
from finegrid.study.lock import locked

GONE = 999_999_999  # a process that is not there
WRITTEN = [
    "runs.jsonl",
    "audit.json",
    "split.tsv",
    ".lock",
    ".lease",
    "logs",
    "logs/worker-0.log",
    "predictions",
    "predictions/0123456789ab.npz",
    "state",
    "cache",
    "models",
    "confirm-01234567",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture
def study(tmp_path: Path, model: Path) -> Path:
    write_data(tmp_path / "data")
    return write_word_study(tmp_path / "study", model)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    save_imported(tmp_path / "table", load_example("thucnews64-published"))
    return tmp_path / "table"


def link(place: Path, to: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)


def contents(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_trained_where_a_study_would_write_through_links(study: Path, call: Call) -> None:
    mine = study.parent / "mine"
    mine.mkdir()
    (mine / "notes").write_text("mine")
    link(study / "runs.jsonl", mine / "notes")
    link(study / "predictions", mine)
    before = contents(mine)
    for command in (["run", study], ["plan", study, "--probe"], ["fit", study, "--recipe", "baseline"]):
        done = call(*command)

        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "runs.jsonl     found a symbolic link to" in done.stderr
        assert "predictions    found a symbolic link to" in done.stderr
    assert contents(mine) == before


@pytest.mark.parametrize("name", WRITTEN)
def test_every_place_that_a_study_writes_to_is_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    link(tmp_path / "study" / name, tmp_path / "mine" / "new")
    with pytest.raises(InputError, match=f"{name} +found a symbolic link"), locked(tmp_path / "study"):
        pytest.fail("nothing is to be done")

    assert [*(tmp_path / "mine").iterdir()] == []


@pytest.mark.parametrize("name", ["runs.jsonl", "looks.jsonl"])
def test_nothing_is_added_to_a_file_that_has_another_name_elsewhere(tmp_path: Path, name: str) -> None:
    """As a stranger's folder may have it, or a backup by hard links."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / name).hardlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=f"{name} +found a file with 2 names"), locked(tmp_path):
        pytest.fail("nothing is to be done")
    with pytest.raises(InputError, match=r"found a file with 2 names .*Put a copy in its place"):
        Journal(tmp_path / name).append({})

    assert (tmp_path / "mine").read_text() == "mine"


def test_what_a_killed_run_was_writing_is_gone_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f".a.safetensors.{GONE}-{'0' * 16}.tmp").touch()
    with locked(tmp_path):
        assert [*(tmp_path / "state").iterdir()] == []


def test_a_report_overwrites_nothing_that_a_link_leads_to(table: Path, call: Call) -> None:
    mine = table.parent / "mine"
    mine.write_text("mine")
    (table / "report.html.tmp").symlink_to(mine)
    assert call("report", table).returncode == 0
    (table / "report.json").unlink()
    (table / "report.json").symlink_to(mine)
    page = (table / "report.html").read_text()
    refused = call("report", table)

    assert refused.returncode == 2 and f"report.json    found a symbolic link to {mine}" in refused.stderr
    assert mine.read_text() == "mine" and (table / "report.html").read_text() == page


@pytest.mark.parametrize(("out", "found"), [("/dev/null", "a device"), (".", "a folder"), ("pipe", "a pipe")])
def test_a_report_goes_into_no_device(
    table: Path, call: Call, monkeypatch: pytest.MonkeyPatch, out: str, found: str
) -> None:
    monkeypatch.chdir(table.parent)
    os.mkfifo("pipe")
    refused = call("report", table, "--out", out)

    assert refused.returncode == 2
    assert (
        f"{out}    found {found}, expected a plain file or nothing. Choose another place." in refused.stderr
    )
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("place", "to"),
    [("export", "csv"), ("export/study.json", "csv"), ("export/tensorboard", "tensorboard")],
)
def test_an_export_writes_through_no_link(table: Path, call: Call, place: str, to: str) -> None:
    (table.parent / "mine").mkdir()
    link(table / place, table.parent / "mine")
    refused = call("export", table, "--to", to)

    assert refused.returncode == 2 and "found a symbolic link to" in refused.stderr
    assert [*(table.parent / "mine").iterdir()] == []


@pytest.mark.parametrize("command", ["status", "verdict", "table", "run"])
def test_a_pipe_in_the_place_of_a_file_is_named_and_nobody_waits(
    study: Path, call: Call, command: str
) -> None:
    (study / "predictions").mkdir()
    for name in ("audit.json", "runs.jsonl", "looks.jsonl", "predictions/0.npz"):
        os.mkfifo(study / name)
    (study / "progress.json").symlink_to("/dev/zero")
    refused = call(command, study)

    assert refused.returncode == 2 and "predictions/0.npz    found a pipe" in refused.stderr
    assert "audit.json           found a pipe, expected a plain file" in refused.stderr
    assert "progress.json        found a device" in refused.stderr


def test_texts_from_outside_the_folder_are_told_before_they_are_read(
    study: Path, call: Call, model: Path
) -> None:
    data = f'train = "mine.tsv"\ndev = "{study.parent}/data/dev.tsv"\ntest = "test.tsv"'
    write_word_study(study, model, data=data)
    secret = study.parent / "data" / "train.tsv"
    (study / "mine.tsv").symlink_to(secret)
    told = call("plan", study).stderr.splitlines()
    chinese = call("plan", study, "--lang", "zh").stderr.splitlines()

    files = [f"mine.tsv ({secret})", f"{study.parent}/data/dev.tsv", str(model)]
    assert told == [f"study.toml reads files outside its folder: {', '.join(files)}"]
    assert chinese == [f"study.toml 会读取其文件夹以外的文件：{'、'.join(files)}"]
    assert call("report", study).stderr.splitlines()[0] == told[0]
    assert fg.Study.load(study).warnings == (told[0],)


def test_watch_tells_what_it_will_read(study: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finegrid.watch.serve.serve", lambda app, port, show: show("http://here"))

    assert call("watch", study).stderr.startswith("study.toml reads files outside its folder: ../data/train")


def test_links_in_a_teacher_are_told_and_a_user_who_is_none_is_borne(study: Path, model: Path) -> None:
    for name in ("teacher", "teacher/elsewhere"):
        (study / name).mkdir()
    for name in ("finegrid.json", "model.safetensors", "mine", "elsewhere/config.json"):
        (study / "teacher" / name).symlink_to(study.parent / "data" / "train.tsv")
    names = ["teacher", "~nobody-here/x", "/gone", "a" * 300, "loop", "nul\0"]
    (study / "loop").symlink_to("loop")
    write_word_study(study, model, factors={"distil.teacher": names}, recipe={"distil.weight": 0.5})
    told = describe_far(load_study(study))

    leads = study.parent / "data" / "train.tsv"
    files = [f"teacher/{name} ({leads})" for name in ("finegrid.json", "model.safetensors")]
    assert told is not None and told.endswith(f"/data/test.tsv, {', '.join(files)}, {model}")


@pytest.mark.parametrize(
    ("level", "found"),
    [
        ("/", "no finegrid.json in it, so not a model that finegrid kept"),
        ("huge.tsv", "33 GiB, expected 32 GiB at most"),
        ("kept", "33 GiB, expected 32 GiB at most"),
        ("nul\0", "embedded null"),
    ],
)
def test_no_more_is_read_of_what_a_level_names_than_a_study_needs(
    study: Path, level: str, found: str
) -> None:
    (study / "kept").mkdir()
    (study / "kept" / "finegrid.json").touch()
    for name in ("huge.tsv", "kept/model.safetensors"):
        with (study / name).open("wb") as file:
            file.truncate(33 * 2**30)  # takes no room
    with pytest.raises(InputError, match=f"cannot be read from .*{found}"):
        fingerprint_contents(load_study(study), [{"distil.teacher": level}])


def test_files_beside_a_teacher_are_nobodys_to_read(study: Path) -> None:
    (study / "kept").mkdir()
    (study / "kept" / "finegrid.json").touch()
    found = fingerprint_contents(load_study(study), [{"distil.teacher": "kept"}])
    with (study / "kept" / "notes").open("wb") as file:
        file.truncate(33 * 2**30)

    assert fingerprint_contents(load_study(study), [{"distil.teacher": "kept"}]) == found
    (study / "kept" / "config.json").touch()
    assert fingerprint_contents(load_study(study), [{"distil.teacher": "kept"}]) != found


def test_texts_in_the_folder_are_nothing_to_tell(study: Path, call: Call, model: Path) -> None:
    write_data(study / "data")
    shutil.copytree(model, study / "model")
    write_word_study(study, Path("model"), data='train = "data/train.tsv"\ndev = "./data/../data/dev.tsv"')

    assert call("plan", study).stderr == ""


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "/proc/self/environ", "/dev/stdin"])
def test_only_plain_files_are_read_as_texts(study: Path, call: Call, model: Path, path: str) -> None:
    os.mkfifo(study / "pipe")
    write_word_study(study, model, data=f'train = "{path}"\nformat = "tsv"', top='score = "f1:sport"')
    refused = call("plan", study)

    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "not an ordinary file" in refused.stderr or "the file is empty" in refused.stderr


def test_a_file_of_extra_texts_that_has_no_end_is_refused(study: Path, call: Call, model: Path) -> None:
    write_word_study(study, model, factors={"texts.extra": ["", "/dev/zero"]})
    refused = call("run", study, "--workers", "1")

    assert refused.returncode == 2 and "found '/dev/zero', which cannot be read" in refused.stderr

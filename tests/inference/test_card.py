"""The card of a kept model, and what of a folder is pushed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.command_line import command_line
from support.kept import keep_run, logits_of, texts_of
from support.studies import FACTORS, write_study

from finegrid.cli import models
from finegrid.data.markdown import escape_line, strip_marks
from finegrid.errors import InputError
from finegrid.inference import fit
from finegrid.inference import push as pushing
from finegrid.inference.card import ModelOrigin, model_card
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.inference.push import UPLOADED, check_hub, push
from finegrid.inference.snippet import FOLDER
from finegrid.report.model_card import NOTHING
from finegrid.running import launch
from finegrid.study.kept_files import CARD
from finegrid.training.loaded import LoadedStudy

HOSTILE = "<img src=x onerror=alert(1)> [a](http://b) `c` | *d* _e_ $f$"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study whose runs are done, and whose third row is kept."""
    folder = write_study(tmp_path_factory.mktemp("kept"), bert, settings=FACTORS)
    with command_line() as call:
        assert call("run", folder, "--workers", "1").returncode == 0
        done = call("fit", folder, "--recipe", "2")
    assert done.returncode == 0, done.stderr
    return folder


def card_of(fitted: Fitted, **facts: Any) -> str:
    about: dict[str, Any] = {"title": "study", "base_model": "bert-base-chinese", "on_hub": True} | facts
    return model_card(fitted, ModelOrigin(**about), onnx=False)


def test_the_card_says_what_was_tried_and_how_sure_that_is(kept: Path) -> None:
    card = (kept / "models" / "best" / CARD).read_text()

    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification\n")
    assert "from one run; its luck is not known" in card
    assert "| optimizer.bias_correction = false, not true |" in card and "cannot tell yet" in card
    assert load_fitted(kept / "models" / "best").fingerprints["data"] in card
    assert "| train | 24 texts |" in card and "Labels: x, y, z." in card
    assert "Test had no part in that" in card


def test_the_card_holds_no_text_and_no_path_of_the_users(kept: Path) -> None:
    card = (kept / "models" / "best" / CARD).read_text()
    texts = [line.split("\t")[0] for line in (kept / "train.tsv").read_text().splitlines()[1:]]

    assert not [text for text in texts if " " in text and text in card]
    assert str(kept) not in card and "/tmp" not in card


def test_a_model_that_no_run_was_compared_with_says_so(loaded: LoadedStudy, tmp_path: Path) -> None:
    from finegrid.report.model_card import study_blocks

    assert study_blocks(loaded.study, loaded.study.baseline) == NOTHING
    folder = keep_run(loaded, tmp_path / "kept")
    assert "chance has its part" in (folder / CARD).read_text()


def test_names_of_the_users_cannot_change_the_card(kept: Path) -> None:
    fitted = load_fitted(kept / "models" / "best").model_copy(update={"labels": [HOSTILE, "b"]})
    card = card_of(fitted, title=HOSTILE, base_model=f'x"\n{HOSTILE}')
    _, front, body = card.split("---\n", 2)
    outside = re.sub(r"```.*?```", "", body, flags=re.DOTALL)

    assert front.count("\n") == 9 and outside.startswith("\n# &lt;img")
    assert "<img" not in outside and "[a](" not in outside and "http:" not in outside


@pytest.mark.parametrize("line", [HOSTILE, "# a", "1. a", "- a", "www.a.b", "a\\b", "0.5", "体育"])
def test_an_escaped_line_says_what_it_said(line: str) -> None:
    import html

    escaped = escape_line(line)

    assert strip_marks(html.unescape(escaped)) == line
    assert not re.match(r"[#+-] |\d+\. ", escaped) and "<" not in escaped and "://" not in escaped


class FakeHub:
    """Records what it is asked."""

    def __init__(self, fails: Exception | None = None, private: bool | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fails, self.private = fails, private

    def whoami(self) -> dict[str, str]:
        if self.fails:
            raise self.fails
        return {"name": "me"}

    def repo_exists(self, name: str, repo_type: str) -> bool:
        return self.private is not None

    def model_info(self, name: str) -> Any:
        return SimpleNamespace(private=self.private)

    def create_repo(self, name: str, **about: Any) -> None:
        self.calls.append((name, about))

    def upload_folder(self, **about: Any) -> Any:
        self.calls.append((about["repo_id"], about))
        return SimpleNamespace(repo_url=f"hub/{about['repo_id']}")


def test_a_push_takes_the_models_own_files_and_is_private(kept: Path) -> None:
    folder, hub = kept / "models" / "best", FakeHub()
    (folder / "predictions.csv").write_text("text,predicted\nba,x\n")

    assert push(hub, folder, check_hub(hub, "mine", False), False) == "hub/me/mine"
    (_, made), (_, sent) = hub.calls
    assert made["private"] is True
    assert {"config.json", "model.safetensors", "finegrid.json", CARD} <= {*sent["allow_patterns"]}
    assert {*sent["allow_patterns"]} <= {*UPLOADED} and "predictions.csv" not in sent["allow_patterns"]
    (folder / "predictions.csv").unlink()


def test_a_push_is_public_only_when_asked(kept: Path) -> None:
    hub = FakeHub()
    push(hub, kept / "models" / "best", check_hub(hub, "org/mine", True), True)

    assert hub.calls[0] == ("org/mine", {"repo_type": "model", "private": False, "exist_ok": True})


def test_a_public_repository_is_not_pushed_to_unasked(kept: Path) -> None:
    with pytest.raises(InputError, match="Pass --public"):
        check_hub(FakeHub(private=False), "mine", False)
    assert check_hub(FakeHub(private=False), "mine", True) == check_hub(FakeHub(private=True), "mine", False)


def test_without_a_token_a_network_or_a_name_a_push_says_what_to_do() -> None:
    from huggingface_hub.errors import LocalTokenNotFoundError

    with pytest.raises(InputError, match="hf auth login"):
        check_hub(FakeHub(LocalTokenNotFoundError("no")), "mine", False)
    with pytest.raises(InputError, match=r"no route.*network"):
        check_hub(FakeHub(OSError("no route")), "mine", False)
    with pytest.raises(InputError, match="expected NAME or OWNER/NAME"):
        check_hub(FakeHub(), "a/b/c", False)


def test_nothing_is_trained_where_a_push_or_onnx_would_fail(
    kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(launch, "fit", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr(pushing, "open_hub", lambda: FakeHub(OSError("no route")))
    with pytest.raises(InputError, match="no route"):
        models.fit(kept, "2", tmp_path / "new", push_to_hub="mine")
    with pytest.raises(InputError, match="--push-to-hub NAME"):
        models.fit(kept, "2", tmp_path / "new", public=True)
    monkeypatch.setattr(fit, "ONNX_LIBRARIES", ("onnx", "nowhere"))
    with pytest.raises(InputError, match=r"needs nowhere.*finegrid\[onnx\]"):
        models.fit(kept, "2", tmp_path / "new", onnx=True)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [{}, {"head__kind": "huggingface"}], ids=["ours", "huggingface"])
def test_the_code_of_a_card_runs_where_finegrid_cannot_be_imported(
    loaded: LoadedStudy, tmp_path: Path, levels: dict[str, Any]
) -> None:
    folder = keep_run(loaded, tmp_path / "kept", **levels)
    blocks = re.findall(r"```python\n(.*?)```", (folder / CARD).read_text(), re.DOTALL)
    code = blocks[0].partition("\nfor row in ")[0].replace(FOLDER, f"folder = {str(folder)!r}")
    texts = [text for (text,) in texts_of(loaded)]
    script = f"""
import sys
class NoFinegrid:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "finegrid":
            raise ImportError(name)
sys.meta_path.insert(0, NoFinegrid())
{code}
import numpy
numpy.save({str(tmp_path / "logits.npy")!r}, logits_of({texts!r}).numpy())
assert not [name for name in sys.modules if name.startswith("finegrid.")]
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(theirs, logits_of(folder, loaded.study.folder / "dev.tsv"), atol=1e-5)

"""Uploads a kept model to the Hugging Face hub: only when asked, private unless asked, its own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid.encoders.tokenizer import TOKENIZER
from finegrid.errors import InputError, first_line, input_error
from finegrid.spelling import Lang
from finegrid.study.kept_files import CARD, FILE, HEAD, ONNX

# All that ever leaves this machine. None of them has texts of the user's in it.
UPLOADED = ("config.json", "model.safetensors", HEAD, FILE, ONNX, CARD, *TOKENIZER)
OPTION = "--push-to-hub"
PUSHED: dict[Lang, dict[str, str]] = {
    "en": {"public": "pushed to {place} (public)", "private": "pushed to {place} (private)"},
    "zh": {"public": "已上传到 {place}（公开）", "private": "已上传到 {place}（私有）"},
}


def open_hub() -> Any:
    """The hub's client."""
    from huggingface_hub import HfApi

    return HfApi(library_name="finegrid")


@dataclass(frozen=True)
class HubTarget:
    """Where on the hub a model goes."""

    hub: Any
    name: str  # OWNER/NAME
    public: bool

    def push(self, folder: Path, lang: Lang = "en") -> str:
        """Upload a kept model. Returns what to say of it."""
        place = push(self.hub, folder, self.name, self.public)
        return PUSHED[lang]["public" if self.public else "private"].format(place=place)


def plan_push(name: str | None, public: bool) -> HubTarget | None:
    """Ask the hub before anything is trained; None where nothing is to be pushed.

    Raises:
        InputError: as `check_hub`, or who sees a model is said, and none is pushed.
    """
    if name is not None:
        hub = open_hub()
        return HubTarget(hub, check_hub(hub, name, public), public)
    if public:
        what = "says who sees a model that is pushed, and none is. Add --push-to-hub NAME, or leave it out."
        raise input_error("command line", "--public", what)
    return None


def check_hub(hub: Any, name: str, public: bool) -> str:
    """Whether a model can go there, asked before anything is trained. Returns its whole name, ``USER/NAME``.

    Args:
        hub: the hub's client.
        name: ``NAME``, for the user's own account, or ``OWNER/NAME``.
        public: whether everybody may see the model.

    Raises:
        InputError: no name that the hub allows, no valid token, no network, or a public repository of that
            name where the model is to be private.
    """
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
        user = str(hub.whoami()["name"])
    except HFValidationError as error:
        what = f"found {name!r}, expected NAME or OWNER/NAME: {first_line(error)}"
    except LocalTokenNotFoundError:
        what = "no token for the hub on this machine. Run: hf auth login, or set HF_TOKEN."
    except Exception as error:  # the client raises a dozen kinds; the user's remedy is the same
        what = (
            f"the hub does not answer: {describe(error)}. Check the token (hf auth whoami) and the network."
        )
    else:
        whole = name if "/" in name else f"{user}/{name}"
        if not public:
            refuse_public(hub, whole)
        return whole
    raise input_error("command line", OPTION, what)


def refuse_public(hub: Any, name: str) -> None:
    """Leave a repository alone that everybody sees. Raises InputError: it is one."""
    try:
        private = not hub.repo_exists(name, repo_type="model") or hub.model_info(name).private
    except Exception as error:
        raise input_error("command line", OPTION, f"{name}: {describe(error)}.") from error
    if not private:
        what = f"{name} is there already, and public. Pass --public if everybody may see this model."
        raise input_error("command line", OPTION, what)


def push(hub: Any, folder: Path, name: str, public: bool) -> str:
    """Upload a kept model in one commit. Returns where it lies.

    Args:
        hub: the hub's client.
        folder: of the model; other files in it stay here.
        name: ``OWNER/NAME``; a repository that is there already gets a new version.
        public: whether everybody sees a repository that is not there yet.

    Raises:
        InputError: the hub refused, or there is no network; the kept model is whole all the same.
    """
    try:
        hub.create_repo(name, repo_type="model", private=not public, exist_ok=True)
        if not public:
            refuse_public(hub, name)
        done = hub.upload_folder(
            repo_id=name,
            repo_type="model",
            folder_path=str(folder),
            allow_patterns=[file for file in UPLOADED if (folder / file).is_file()],
            commit_message="A model that finegrid kept",
        )
    except InputError:
        raise
    except Exception as error:
        what = f"{describe(error)}. The model lies in {folder}: push it again, or upload it by hand."
        raise input_error("command line", OPTION, what) from error
    return str(getattr(done, "repo_url", None) or name)


def describe(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return (first_line(error) or type(error).__name__).rstrip(".")

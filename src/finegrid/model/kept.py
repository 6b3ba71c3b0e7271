"""A trained classifier to a Hugging Face folder and back: safetensors only, there in full or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from finegrid.atomic import replacing_folder
from finegrid.errors import input_error
from finegrid.fitted import FILE, HEAD, Fitted, as_text
from finegrid.model.classifier import Classifier
from finegrid.model.families import inspect
from finegrid.model.load import Checkpoint, first_line
from finegrid.streams import Streams

# What a checkpoint may bring for its tokeniser. Copied, not written anew: it then reads texts just alike.
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)


def keep_model(model: Classifier, tokenizer: Path, fitted: Fitted, out: Path) -> None:
    """Write a model as it is now.

    Args:
        model: the classifier; its encoder becomes what ``AutoModel.from_pretrained(out)`` loads.
        tokenizer: the folder of the checkpoint that the model was made from.
        fitted: what stands in ``finegrid.json``.
        out: the folder; a kept model that is there already is replaced.
    """
    encoder: Any = model.encoder
    with replacing_folder(out) as draft:
        encoder.save_pretrained(draft)
        save_file({name: t.cpu().contiguous() for name, t in model.head.state_dict().items()}, draft / HEAD)
        for name in TOKENIZER:
            if (tokenizer / name).exists():
                shutil.copyfile(tokenizer / name, draft / name)
        (draft / FILE).write_text(as_text(fitted), encoding="utf-8")
        for path in draft.iterdir():
            path.chmod((draft / FILE).stat().st_mode)  # safetensors lets only its owner read a file


def load_model(folder: Path, fitted: Fitted, device: torch.device) -> Classifier:
    """The classifier that `keep_model` wrote.

    Raises:
        InputError: files are missing, damaged, or do not fit each other.
    """
    checkpoint = Checkpoint(inspect(folder))
    model = Classifier(checkpoint.encoder, len(fitted.labels), fitted.pooling, Streams(0))
    try:
        model.head.load_state_dict(load_file(folder / HEAD))
    except (SafetensorError, OSError, RuntimeError) as error:
        what = f"cannot be loaded: {first_line(error)}. Fit the model again."
        raise input_error(str(folder), HEAD, what) from error
    return model.to(device)

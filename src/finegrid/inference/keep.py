"""A trained classifier to a Hugging Face folder and back: safetensors only, there in full or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from finegrid.atomic import replacing_folder
from finegrid.encoders.families import inspect
from finegrid.encoders.tokenizer import TOKENIZER
from finegrid.errors import first_line, input_error
from finegrid.inference.fitted import FILE, HEAD, Fitted, format_fitted
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.streams import Streams

if TYPE_CHECKING:
    from finegrid.inference.fitted import Fitted
    from finegrid.recipe.recipe import Recipe
    from finegrid.study.record import Record
    from finegrid.training.loaded import LoadedStudy
    from finegrid.training.run import Run

CONFIG = "config.json"
OF_OTHER_TASKS = ("problem_type", "finetuning_task", "task_specific_params", "num_labels")


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
        name_labels_(draft / CONFIG, fitted.labels)
        save_file({name: t.cpu().contiguous() for name, t in model.head.state_dict().items()}, draft / HEAD)
        for name in TOKENIZER:
            if (tokenizer / name).exists():
                shutil.copyfile(tokenizer / name, draft / name)
        (draft / FILE).write_text(format_fitted(fitted), encoding="utf-8")
        for path in draft.iterdir():
            path.chmod((draft / FILE).stat().st_mode)  # safetensors lets only its owner read a file


def name_labels_(path: Path, labels: list[str]) -> None:
    """Put the study's labels into a config in place of those of the checkpoint that it started from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in OF_OTHER_TASKS:
        config.pop(name, None)
    config["id2label"] = {str(number): label for number, label in enumerate(labels)}
    config["label2id"] = {label: number for number, label in enumerate(labels)}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_model(folder: Path, fitted: Fitted, device: torch.device) -> Classifier:
    """The classifier that `keep_model` wrote.

    Raises:
        InputError: files are missing, damaged, or do not fit each other.
    """
    checkpoint = Checkpoint(inspect(folder))
    model = Classifier(checkpoint.encoder, len(fitted.labels), fitted.pooling, Streams(0))
    model.replace_head_(fitted.head_kind, fitted.head_hidden)
    try:
        model.head.load_state_dict(load_file(folder / HEAD))
    except (SafetensorError, OSError, RuntimeError) as error:
        what = f"cannot be loaded: {first_line(error)}. Fit the model again."
        raise input_error(str(folder), HEAD, what) from error
    return model.to(device)


def keep(loaded: LoadedStudy, run: Run, fitted: Fitted, out: Path) -> None:
    """Write the model of a run as it was at its best epoch; or as its free level has it, if it has one."""
    run.restore_best_()  # after best-test, its weights are still those of the last epoch
    if run.scorer is not None:
        (level,) = run.scorer.keys
        run.scorer.become_(level, run.model.head)
    keep_model(run.model, loaded.study.checkpoint.folder, fitted, out)


def fitted_of(loaded: LoadedStudy, recipe: Recipe, record: Record) -> Fitted:
    """What a kept model has to say about itself.

    Args:
        loaded: the study.
        recipe: as it was asked for. The run's own leaves out what is inert with the study's texts, such as a
            ``max_length`` that none of them exceeds; texts to come may be longer.
        record: of the run.
    """
    from finegrid.inference.fitted import Fitted

    data = loaded.study.head.data
    return Fitted.model_validate(
        {
            "labels": list(loaded.tokens.labels),
            "pooling": recipe.model.pooling,
            "head_kind": recipe.head.kind,
            "head_hidden": recipe.head.hidden,
            "max_length": recipe.model.max_length,
            "keep": recipe.model.keep,
            "recipe": {**recipe.moved(), **recipe.free_levels()},
            "texts": 2 if loaded.tokens.train.parts == 2 else 1,
            "columns": list(data.columns),
            "reading": {"separator": data.separator, "quoting": data.quoting, "encoding": data.encoding},
            "score": loaded.study.head.score,
            "fingerprints": loaded.fingerprints,
            "run_id": record.run_id,
            "seed": record.seed,
            "stands_for": list(record.stands_for),
            "best_epoch": record.best_epoch,
            "protocol": record.protocol,
            "dev": record.dev,
            "test": record.test,
            "precision": record.precision,
            "threads": record.threads,
            "device": record.device,
            "versions": record.versions,
        }
    )

"""A trained classifier to a Hugging Face folder and back: safetensors only, there in full or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from finegrid.atomic import replacing_folder
from finegrid.encoders.families import inspect
from finegrid.encoders.files import describe_stand_in
from finegrid.encoders.layout import HEADS, POOLER, PREFIXES, WITH_HEAD
from finegrid.encoders.tiers import Tier
from finegrid.encoders.tokenizer import TOKENIZER
from finegrid.errors import first_line, input_error
from finegrid.inference.card import ModelOrigin, model_card
from finegrid.inference.fitted import Fitted, format_fitted
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.model.low_rank import merge_
from finegrid.streams import Streams
from finegrid.study.kept_files import CARD, FILE, HEAD, ONNX
from finegrid.training.whole import make_whole_

if TYPE_CHECKING:
    from finegrid.inference.fitted import Fitted
    from finegrid.recipe.recipe import Recipe
    from finegrid.study.record import Record
    from finegrid.training.loaded import LoadedStudy
    from finegrid.training.run import Run

CONFIG, WEIGHTS, TOKENIZER_CONFIG = "config.json", "model.safetensors", "tokenizer_config.json"
OTHER_HEADS = ("classifier", "score")  # what families without a head of ours call its last layer
Export = Callable[[Path, Fitted], None]
# "architectures" too: pipelines try the class that it names after the one for their task.
OF_OTHER_TASKS = ("problem_type", "finetuning_task", "task_specific_params", "num_labels", "architectures")


def write_model(model: Classifier, tokenizer: Path, fitted: Fitted, folder: Path) -> None:
    """Write a model as it is now into an empty folder.

    Args:
        model: the classifier; its encoder becomes what ``AutoModel.from_pretrained(folder)`` loads.
        tokenizer: the folder of the checkpoint that the model was made from.
        fitted: what stands in ``finegrid.json``.
        folder: where to.
    """
    encoder: Any = model.encoder
    encoder.config.save_pretrained(folder)
    family = model.parts.family
    adapt_config_(folder / CONFIG, fitted, family)
    if fitted.head_kind == "huggingface":
        save_tensors(whole_model(model, family), folder / WEIGHTS)
    else:
        save_tensors(encoder_alone(model, family), folder / WEIGHTS)
        save_tensors(model.head.state_dict(), folder / HEAD)
    for name in TOKENIZER:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, folder / name)
    adapt_tokenizer_(folder / TOKENIZER_CONFIG, fitted, reads_types(encoder.config))
    (folder / FILE).write_text(format_fitted(fitted), encoding="utf-8")


def whole_model(model: Classifier, family: str) -> dict[str, Tensor]:
    """The tensors of the model of transformers that has this encoder and this head, by its names."""
    names, prefix = HEADS[family], PREFIXES[family]
    tensors = {}
    for name, t in model.encoder.state_dict().items():
        # A RoBERTa, or its like, with this head reads its first token, and has no pooler.
        if model.pooling == "pooler" or not name.startswith(POOLER):
            tensors[prefix + name] = t
    for name, t in model.head.state_dict().items():
        layer, _, kind = name.rpartition(".")
        tensors[f"{names[layer]}.{kind}"] = t
    return tensors


def encoder_alone(model: Classifier, family: str) -> dict[str, Tensor]:
    """The encoder's tensors, and an empty one in the place of a head that transformers would look for.

    ``AutoModelForSequenceClassification`` knows no head like ours. Where it finds none, it draws a random
    one and goes on; where it finds one that does not fit, it refuses the folder.
    """
    names = [HEADS[family]["linear"]] if family in HEADS else OTHER_HEADS
    return {**model.encoder.state_dict(), **{f"{name}.weight": torch.zeros(0) for name in names}}


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, path, {"format": "pt"})


def adapt_config_(path: Path, fitted: Fitted, family: str) -> None:
    """Put the study's labels into a config in place of those of the checkpoint that it started from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in OF_OTHER_TASKS:
        config.pop(name, None)
    if fitted.head_kind == "huggingface":
        config["architectures"] = [WITH_HEAD[family]]
    config["dtype"] = "float32"
    config["id2label"] = {str(number): label for number, label in enumerate(fitted.labels)}
    config["label2id"] = {label: number for number, label in enumerate(fitted.labels)}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def adapt_tokenizer_(path: Path, fitted: Fitted, types: bool) -> None:
    """Let a tokenizer cut texts as the recipe does, and give the model nothing that it does not read.

    Tails alone, and heads alone, it can cut; for heads and tails the card has a few lines.
    """
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    config["model_max_length"] = fitted.max_length
    config["truncation_side"] = "left" if fitted.keep == "tail" else "right"
    if not types:
        config["model_input_names"] = ["input_ids", "attention_mask"]
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def reads_types(config: Any) -> bool:
    """Whether an encoder tells the texts of a pair apart by token types."""
    return config.model_type != "distilbert" and getattr(config, "type_vocab_size", 0) > 1


def load_model(folder: Path, fitted: Fitted, device: torch.device) -> Classifier:
    """The classifier that `write_model` wrote.

    Raises:
        InputError: files are missing, damaged, or do not fit each other.
    """
    checkpoint = Checkpoint(info := inspect(folder))
    if fitted.max_length > info.positions:
        what = f"max_length is {fitted.max_length}, but the encoder has {info.positions} positions."
        raise input_error(str(folder), FILE, f"{what} Fit the model again.")
    # As it was trained: an encoder may have been found to run padded only.
    tier: Tier = "padded" if fitted.fingerprints.get("tier") == "padded" else info.tier
    model = Classifier(checkpoint.encoder, len(fitted.labels), fitted.pooling, Streams(0), tier)
    model.replace_head_(fitted.head_kind, fitted.head_hidden)
    # Models that were kept earlier have transformers' head in a file of its own, too.
    own = fitted.head_kind == "finegrid" or (folder / HEAD).exists()
    name = HEAD if own else WEIGHTS
    again = "Fit the model again."
    if (instead := describe_stand_in(folder / name)) is not None:
        raise input_error(str(folder), name, f"{instead} {again}")
    try:
        tensors = load_file(folder / name)
        model.head.load_state_dict(tensors if own else pick_head(tensors, model.parts.family))
    except (SafetensorError, OSError, RuntimeError) as error:
        what = f"has no head that can be loaded: {first_line(error)}. {again}"
        raise input_error(str(folder), name, what) from error
    if not all(torch.isfinite(p).all() for p in model.head.parameters()):
        raise input_error(str(folder), name, f"has a head that is not finite. {again}")
    return model.to(device)


def pick_head(tensors: Mapping[str, Tensor], family: str) -> dict[str, Tensor]:
    """The head's tensors by finegrid's names, from those of a whole model of transformers."""
    layers = {theirs: ours for ours, theirs in HEADS[family].items()}
    parts = [(name, *name.rpartition(".")) for name in tensors]
    return {f"{layers[layer]}.{kind}": tensors[name] for name, layer, _, kind in parts if layer in layers}


def keep(
    loaded: LoadedStudy,
    run: Run,
    fitted: Fitted,
    out: Path,
    origin: ModelOrigin,
    export: Export | None = None,
) -> None:
    """Write the model of a run as it was at its best epoch; or as its free level has it, if it has one.

    Args:
        loaded: the study.
        run: the run, which has ended.
        fitted: what stands in ``finegrid.json``.
        out: the folder, there in full or not at all; a kept model that is there already is replaced.
        origin: what the card says of the study and of the checkpoint.
        export: writes the model once more, from the folder and into it.
    """
    run.restore_best_()  # after best-test, its weights are still those of the last epoch
    if run.scorer is not None:
        (level,) = run.scorer.keys
        run.scorer.become_(level, run.model.head)
    make_whole_(run)
    merge_(run.model)
    with replacing_folder(out) as draft:
        write_model(run.model, loaded.study.checkpoint.folder, fitted, draft)
        if export is not None:
            export(draft, fitted)
        card = model_card(fitted, origin, (draft / ONNX).exists())
        (draft / CARD).write_text(card, encoding="utf-8")
        for path in draft.iterdir():
            path.chmod((draft / FILE).stat().st_mode)  # safetensors lets only its owner read a file


def title_model(loaded: LoadedStudy, title: str, hub_id: str | None = None, about: str = "") -> ModelOrigin:
    """What the card of a model says of the study.

    Args:
        loaded: the study.
        title: its name.
        hub_id: of the checkpoint; None: it is not the hub's.
        about: what was compared, with what result, in Markdown.
    """
    sizes = {part: len(getattr(loaded.tokens, part)) for part in ("train", "dev", "test")}
    base = hub_id or loaded.study.checkpoint.folder.name
    return ModelOrigin(title, base, hub_id is not None, sizes, about)


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
            "fingerprints": {**loaded.fingerprints, **loaded.study.own.fingerprint(recipe.moved())},
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

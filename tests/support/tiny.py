"""Tiny checkpoints, texts and studies on disk. Models are loaded: a fresh one is not the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finegrid.data.tokens import TokenisedSplit, template
from finegrid.encoders.families import inspect
from finegrid.encoders.poolings import Pooling
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint, load_tokenizer
from finegrid.model.packing.batches import Batch, pack
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import Setting
from finegrid.streams import Streams
from finegrid.study.load import load_study
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.state import StateFile

WIDTH, LAYERS, HEADS, POSITIONS = 16, 4, 2, 128
# Every family, and the two whose config changes what an encoder is made of.
KINDS = ("bert", "roberta", "electra", "electra-narrow", "ernie", "ernie-tasks", "distilbert")
POOLINGS: tuple[Pooling, ...] = ("cls", "pooler", "last-mean", "first-last-mean")
LEGAL = [
    (kind, pooling)
    for kind, pooling in product(KINDS, POOLINGS)
    if pooling != "pooler" or kind.partition("-")[0] not in ("electra", "distilbert")
]
SYLLABLES = [consonant + vowel for consonant, vowel in product("bdgklmnp", "aeiou")]
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
FACTORS = '[factors]\n"optimizer.bias_correction" = [true, false]'
CPU = torch.device("cpu")


def config_of(kind: str) -> Any:
    import transformers

    family = kind.partition("-")[0]
    if family == "distilbert":
        return transformers.DistilBertConfig(
            vocab_size=128,
            dim=WIDTH,
            n_layers=LAYERS,
            n_heads=HEADS,
            hidden_dim=2 * WIDTH,
            max_position_embeddings=POSITIONS,
            initializer_range=0.2,
        )
    common: dict[str, Any] = {
        "vocab_size": 384 if family == "roberta" else 128,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.2,
    }
    if family == "roberta":
        one_type = {"type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        return transformers.RobertaConfig(**common | one_type | {"max_position_embeddings": POSITIONS + 2})
    if family == "electra":
        return transformers.ElectraConfig(
            **common, embedding_size=WIDTH // 2 if kind == "electra-narrow" else WIDTH
        )
    if family == "ernie":
        return transformers.ErnieConfig(**common, use_task_id=kind == "ernie-tasks", task_type_vocab_size=3)
    return transformers.BertConfig(**common)


def save_checkpoint(folder: Path, kind: str, seed: int = 0, **changed: Any) -> Path:
    """An encoder of this kind with a tokenizer. ``changed`` goes into its config."""
    from transformers import AutoModel

    torch.manual_seed(seed)
    config = config_of(kind)
    for name, value in changed.items():
        setattr(config, name, value)
    model = AutoModel.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:  # biases 0 and norms 1 would hide what is done with them
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    save_tokenizer(folder, kind)
    return folder


def save_tokenizer(folder: Path, kind: str, extra: tuple[str, ...] = ()) -> None:
    tokenizer = byte_pairs() if kind == "roberta" else word_pieces([*SYLLABLES, *extra])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"roberta": "RobertaTokenizer", "distilbert": "DistilBertTokenizer"}
    about: dict[str, Any] = {"tokenizer_class": names.get(kind, "BertTokenizer"), "model_max_length": 64}
    if kind == "roberta":
        roles = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
        about |= dict(zip(roles, ROBERTA_SPECIALS, strict=True)) | {"cls_token": "<s>", "sep_token": "</s>"}
    else:
        roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        about |= dict(zip(roles, BERT_SPECIALS, strict=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


def word_pieces(words: list[str]) -> Any:
    """``[CLS] A [SEP]`` and ``[CLS] A [SEP] B [SEP]``, as BERT. ``bas`` is two pieces."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = [*BERT_SPECIALS, *words, "##s", "##ba"]
    tokenizer = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(BERT_SPECIALS)
    return tokenizer


def byte_pairs() -> Any:
    """``<s> A </s>`` and ``<s> A </s> </s> B </s>``, as RoBERTa."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*ROBERTA_SPECIALS, *alphabet, *SYLLABLES]
    merges = [(syllable[0], syllable[1]) for syllable in SYLLABLES]
    tokenizer = Tokenizer(models.BPE({word: index for index, word in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(ROBERTA_SPECIALS)
    return tokenizer


def sentence(generator: np.random.Generator, label: int, words: int) -> str:
    """Syllables of which some are typical of the label, so that there is something to learn."""
    own = SYLLABLES[10 * label : 10 * label + 10]
    return " ".join(generator.choice(own if generator.random() < 0.5 else SYLLABLES) for _ in range(words))


def write_texts(path: Path, texts: int, seed: int, pairs: bool = False) -> None:
    generator = np.random.default_rng(seed)
    lines = ["first\tsecond\tlabel" if pairs else "text\tlabel"]
    for row in range(texts):
        label = row % 3
        cells = [sentence(generator, label, int(generator.integers(1, 7))) for _ in range(1 + pairs)]
        lines.append("\t".join([*cells, "xyz"[label]]))
    path.write_text("\n".join(lines) + "\n")


def write_study(
    folder: Path, checkpoint: Path, settings: str = "", head: str = "", pairs: bool = False
) -> Path:
    """A study of 24 training, 15 dev and 18 test texts in three classes, with ``settings`` in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, texts) in enumerate({"train": 24, "dev": 15, "test": 18}.items()):
        write_texts(folder / f"{part}.tsv", texts, seed, pairs)
    columns = 'text = ["first", "second"]' if pairs else 'text = "text"'
    (folder / "study.toml").write_text(
        f"""{head}
[data]
train = "train.tsv"
dev = "dev.tsv"
test = "test.tsv"
{columns}
label = "label"
[model]
name = "{checkpoint}"
max_length = 32
[optimizer]
rate = 2e-3
[training]
batch_size = 8
epochs = 2
{settings or FACTORS}
"""
    )
    return folder


def open_study(folder: Path, **settings: Any) -> LoadedStudy:
    study = load_study(folder)
    return LoadedStudy(study, study.head.run.model_copy(update=settings))


def recipe_of(loaded: LoadedStudy, **levels: Any) -> Recipe:
    """The baseline with some levels moved; ``reinit__layers`` stands for ``reinit.layers``."""
    return loaded.study.baseline.at({name.replace("__", "."): level for name, level in levels.items()})


def train(loaded: LoadedStudy, *recipes: Recipe, seed: int = 0) -> list[Run]:
    """Train recipes as one family, and return the ended runs."""
    from finegrid.training.train import train_family

    runs = [Run(loaded, f"run-{index}", recipe, seed) for index, recipe in enumerate(recipes)]
    nowhere = StateFile(loaded.study.folder / "state" / "never.safetensors", save_after_seconds=1e9)
    train_family(loaded, runs, nowhere)
    return runs


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in run.model.named_parameters()}


def same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def without_seconds(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if not k.endswith("_seconds")} for entry in entries]


def assert_same_run(a: Run, b: Run) -> None:
    """Equal bit for bit in everything but seconds and memory."""
    assert (a.progress.status, a.progress.reason) == (b.progress.status, b.progress.reason)
    unlike = {name for name, t in weights(a).items() if not torch.equal(t, weights(b)[name])}
    assert weights(a).keys() == weights(b).keys() and not unlike
    assert a.logits.keys() == b.logits.keys()
    assert all(np.array_equal(a.logits[split], b.logits[split]) for split in a.logits)
    assert same_tensors(a.best_weights, b.best_weights)
    assert without_seconds(a.progress.epochs) == without_seconds(b.progress.epochs)
    assert (a.progress.best_epoch, a.progress.best_score) == (b.progress.best_epoch, b.progress.best_score)


def classifier_of(folder: Path, pooling: Pooling = "first-last-mean", seed: int = 0) -> Classifier:
    """A classifier of three classes on a loaded checkpoint, in training mode."""
    return Classifier(loaded(folder).copy(), 3, pooling, Streams(seed)).train()


@cache
def loaded(folder: Path) -> Checkpoint:
    return Checkpoint(inspect(folder))


def random_split(folder: Path, lengths: Sequence[tuple[int, ...]], seed: int = 0) -> TokenisedSplit:
    """Texts (or pairs) of random tokens, many of them repeated; ``lengths`` without special tokens."""
    parts = len(lengths[0])
    generator = np.random.default_rng(seed)
    sizes = np.array(lengths).reshape(-1)
    return TokenisedSplit(
        tokens=generator.integers(6, 26, size=int(sizes.sum())).astype(np.int32),
        bounds=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        parts=parts,
        labels=generator.integers(0, 3, size=len(lengths)),
        ids=np.arange(1, len(lengths) + 1),
        template=template(load_tokenizer(folder), parts),
    )


def pack_all(split: TokenisedSplit, rows: NDArray[np.int64] | None = None, max_length: int = 64) -> Batch:
    return pack(split, np.arange(len(split)) if rows is None else rows, max_length, CPU)


def any_setting(seed: int = 0) -> Setting:
    """The setting of a run without texts, for strategies that only change the model."""
    return Setting(seed, Streams(seed), texts=None, pretraining=None, read_anchor=dict)  # type: ignore[arg-type]

"""Tiny checkpoints, texts and studies on disk, and runs of them.

Models are loaded: a fresh one is not the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from finegrid.data.tokens import TokenisedSplit, read_template
from finegrid.encoders.families import inspect
from finegrid.encoders.poolings import POOLINGS, Pooling
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.inference.teacher import open_teacher
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.model.packing.batches import Batch, pack
from finegrid.model.rows import held_rows, take_rows
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import Setting, Strategy
from finegrid.streams import Streams
from finegrid.study.load import load_study
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.state import StateFile
from finegrid.training.teaching import teach
from support.strategies.adding import forget_recipes

WIDTH, LAYERS, HEADS, POSITIONS = 16, 4, 2, 128
# Every family, and the two whose config changes what an encoder is made of.
KINDS = (
    *("bert", "roberta", "electra", "electra-narrow", "ernie", "ernie-tasks", "distilbert"),
    *("xlm-roberta", "camembert", "data2vec-text"),
)
VARIANTS = {"electra-narrow": "electra", "ernie-tasks": "ernie"}
LIKE_ROBERTA = ("roberta", "xlm-roberta", "camembert", "data2vec-text")
PLAIN: tuple[Pooling, ...] = ("cls", "pooler", "last-mean", "first-last-mean")
OTHERS = [pooling for pooling in POOLINGS if pooling not in PLAIN]
# The plain ones on every family; the others read layers in the same way, whatever the family calls them.
LEGAL = [
    *(
        (kind, pooling)
        for kind, pooling in product(KINDS, PLAIN)
        if pooling != "pooler" or VARIANTS.get(kind, kind) not in ("electra", "distilbert")
    ),
    *(("bert", pooling) for pooling in OTHERS),
    ("electra-narrow", "weighted"),  # whose embeddings are another width
]
SYLLABLES = [consonant + vowel for consonant, vowel in product("bdgklmnp", "aeiou")]
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = ("goal", "match", "team", "coach", "stock", "bank", "price", "market", "the", "a", "new", "old")
CLASSES = {"sport": WORDS[:4], "money": WORDS[4:8]}
FACTORS = '[factors]\n"optimizer.bias_correction" = [true, false]'
# Three runs of two families: one full, two that share a frozen layer.
SMALL_FACTORS: dict[str, Sequence[object]] = {
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.1],
    "reinit.pooler": [False, True],
}
CPU = torch.device("cpu")


def config_of(kind: str) -> Any:
    import transformers

    family = VARIANTS.get(kind, kind)
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
        "vocab_size": 384 if family in LIKE_ROBERTA else 128,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.2,
    }
    if family in LIKE_ROBERTA:
        one_type = {"type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        longer = {"max_position_embeddings": POSITIONS + 2}
        return transformers.AutoConfig.for_model(family, **common | one_type | longer)
    if family == "electra":
        return transformers.ElectraConfig(
            **common, embedding_size=WIDTH // 2 if kind == "electra-narrow" else WIDTH
        )
    if family == "ernie":
        return transformers.ErnieConfig(**common, use_task_id=kind == "ernie-tasks", task_type_vocab_size=3)
    return transformers.BertConfig(**common)


def save_checkpoint(
    folder: Path, kind: str, seed: int = 0, words: Sequence[str] = (), **changed: Any
) -> Path:
    """An encoder with a tokenizer of syllables and ``words``. ``changed`` goes into its config."""
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
    save_tokenizer(folder, kind, words)
    return folder


def save_word_checkpoint(folder: Path, kind: str = "bert") -> Path:
    """Two layers that know the words of `draw_texts`: what the command line needs no more than."""
    return save_checkpoint(folder, kind, words=WORDS, num_hidden_layers=2)


def save_tokenizer(folder: Path, kind: str, extra: Sequence[str] = ()) -> None:
    tokenizer = byte_pairs() if kind in LIKE_ROBERTA else word_pieces([*SYLLABLES, *extra])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict.fromkeys(LIKE_ROBERTA, "RobertaTokenizer") | {"distilbert": "DistilBertTokenizer"}
    about: dict[str, Any] = {"tokenizer_class": names.get(kind, "BertTokenizer"), "model_max_length": 64}
    if kind in LIKE_ROBERTA:
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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def make_lesson_(folder: Path) -> Path:
    """Give the training texts of a study of `write_study` what some factors ask of them. Returns the folder.

    The last text of ``z`` gets the label ``x``: where classes are of one size, weights do nothing. What a
    teacher says stands beside the labels, as probabilities.
    """
    path = folder / "train.tsv"
    head, _, last = path.read_text().rpartition("\tz\n")
    header, *rows = f"{head}\tx\n{last}".splitlines()
    draw = np.random.default_rng(0).dirichlet((1.0, 1.0, 1.0), len(rows))
    columns = "\t".join(f"probability:{label}" for label in "xyz")
    numbers = ["\t".join(f"{p:.6f}" for p in row) for row in draw]
    lines = [f"{header}\t{columns}", *map("\t".join, zip(rows, numbers, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return folder


def write_extra(path: Path, pairs: bool = False) -> None:
    """More training texts: seven, each longer than any that `write_texts` writes."""
    generator = np.random.default_rng(7)
    rows = [
        (*(sentence(generator, row % 3, 8) for _ in range(1 + pairs)), "xyz"[row % 3]) for row in range(7)
    ]
    write_tsv(path, rows, "first\tsecond\tlabel" if pairs else "text\tlabel")


def write_unlabelled(path: Path, pairs: bool = False) -> None:
    """Ten texts without labels, each longer than any that `write_texts` writes."""
    generator = np.random.default_rng(8)
    rows = [tuple(sentence(generator, row % 3, 7) for _ in range(1 + pairs)) for row in range(10)]
    write_tsv(path, rows, "first\tsecond" if pairs else "text")


def draw_texts(
    count: int, seed: int = 0, classes: Mapping[str, Sequence[str]] = CLASSES
) -> list[tuple[str, str]]:
    """``count`` different texts that their words give away, and their labels, classes taking turns."""
    draw = np.random.default_rng(seed)
    texts: dict[str, str] = {}
    while len(texts) < count:
        label = list(classes)[len(texts) % len(classes)]
        words = [*draw.choice(list(classes[label]), 2), *draw.choice(WORDS, int(draw.integers(1, 4)))]
        texts.setdefault(" ".join(map(str, words)), label)
    return list(texts.items())


def write_tsv(path: Path, rows: Sequence[tuple[str, ...]], header: str = "text\tlabel") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def write_data(folder: Path, train: int = 32) -> Path:
    """Texts of words: 32 to train, 12 for dev, 16 for test."""
    rows = draw_texts(train + 28)
    write_tsv(folder / "train.tsv", rows[:train])
    write_tsv(folder / "dev.tsv", rows[train : train + 12])
    write_tsv(folder / "test.tsv", rows[train + 12 :])
    return folder


def write_study(
    folder: Path, checkpoint: Path, settings: str = "", head: str = "", pairs: bool = False
) -> Path:
    """A study of 24 training, 15 dev and 18 test texts in three classes, with ``settings`` in its file."""
    for seed, (part, texts) in enumerate({"train": 24, "dev": 15, "test": 18}.items()):
        write_texts(folder / f"{part}.tsv", texts, seed, pairs)
    write_extra(folder / "extra.tsv", pairs)
    write_unlabelled(folder / "unlabelled.tsv", pairs)
    columns = 'text = ["first", "second"]' if pairs else 'text = "text"'
    data = f'train = "train.tsv"\ndev = "dev.tsv"\ntest = "test.tsv"\n{columns}\nlabel = "label"'
    levels = {
        "model.max_length": 32,
        "optimizer.rate": 2e-3,
        "training.batch_size": 8,
        "training.epochs": 2,
    }
    return write_study_file(folder, checkpoint, data, levels, settings or FACTORS, head)


def write_word_study(
    folder: Path,
    checkpoint: Path,
    factors: Mapping[str, Sequence[object]] = SMALL_FACTORS,
    top: str = "",
    data: str = 'train = "../data/train.tsv"\ndev = "../data/dev.tsv"\ntest = "../data/test.tsv"',
    recipe: Mapping[str, object] | None = None,
    design: str = "",
    run: str = "",
) -> Path:
    """A study whose data, of `write_data`, lie in the folder ``data`` beside it."""
    levels = {
        "model.max_length": 12,
        "optimizer.rate": 0.01,
        "training.epochs": 2,
        "training.batch_size": 16,
        **(recipe or {}),
    }
    lines = "\n".join(f"{json.dumps(name)} = {json.dumps(list(of))}" for name, of in factors.items())
    settings = f"[factors]\n{lines}\n[design]\n{design}\n[run]\n{run}"
    return write_study_file(folder, checkpoint, data, levels, settings, top)


def write_study_file(
    folder: Path, checkpoint: Path, data: str, levels: Mapping[str, object], settings: str, head: str
) -> Path:
    """Write ``study.toml``: the baseline's levels as tables between the data and the other settings."""
    parts: dict[str, list[str]] = {"model": [f"name = {json.dumps(str(checkpoint))}"]}
    for factor, level in levels.items():
        part, field = factor.split(".")
        parts.setdefault(part, []).append(f"{field} = {json.dumps(level)}")
    tables = {"data": [data], **parts}
    lines = [line for name, content in tables.items() for line in (f"[{name}]", *content)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text("\n".join([head, *lines, settings, ""]), encoding="utf-8")
    return folder


def open_study(folder: Path, **settings: Any) -> LoadedStudy:
    study = load_study(folder)
    return LoadedStudy(study, study.head.run.model_copy(update=settings), open_teacher, teach)


LoadedOf = Callable[[str], LoadedStudy]


def studies_of(
    temporary: pytest.TempPathFactory, save: Callable[[str, Path], Path], settings: str = ""
) -> LoadedOf:
    """A study of `write_study` for each family that is asked for, made once.

    Args:
        temporary: where they lie.
        save: writes a checkpoint of a family into a folder.
        settings: of the study.
    """

    @cache
    def loaded(family: str) -> LoadedStudy:
        home = temporary.mktemp(family)
        return open_study(write_study(home / "study", save(family, home / "model"), settings))

    return loaded


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
    """Of all parameters; of the table of words the rows that texts need, whatever the run has."""
    rows = run.loaded.rows(run.recipe) if held_rows(run.table) is None else None
    return {
        name: take_rows(p.detach(), rows if p is run.table.weight else None)
        for name, p in run.model.named_parameters()
    }


def start_of(loaded: LoadedStudy) -> dict[str, torch.Tensor]:
    """What the weights of the baseline's run of seed 0 are before its first step."""
    return {name: p.detach().clone() for name, p in weights(Run(loaded, "run", recipe_of(loaded), 0)).items()}


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
        template=read_template(load_tokenizer(folder), parts),
    )


def pack_all(split: TokenisedSplit, rows: NDArray[np.int64] | None = None, max_length: int = 64) -> Batch:
    return pack(split, np.arange(len(split)) if rows is None else rows, max_length, CPU)


def any_setting(seed: int = 0) -> Setting:
    """The setting of a run without texts, for strategies that only change the model."""
    nobody: Any = None
    return Setting(seed, Streams(seed), nobody, 2, nobody, nobody, dict, nobody, nobody)


def put_strategies(monkeypatch: pytest.MonkeyPatch, strategies: Callable[[Recipe], list[Strategy]]) -> None:
    """Give recipes other strategies, also those that were asked for theirs before."""
    monkeypatch.setattr(Recipe, "strategies", property(strategies))
    forget_recipes(monkeypatch)

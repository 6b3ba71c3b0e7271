"""Tiny checkpoints of every family, each with the kind of tokenizer that its real checkpoints have.

Those of `support.studies` share one vocabulary of syllables, which most tests need no more than. These are
for what depends on a family's files: its special tokens and how they stand around a text, word pieces, byte
pairs or sentencepiece, and the settings of its config.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from finegrid import ASSETS
from support.studies import SYLLABLES, WORDS

LINES = 300  # of the headlines, which tokenizers are trained on
PIECES = 700  # in each vocabulary, as far as the lines give so many
WIDTH, LAYERS, HEADS, POSITIONS = 16, 4, 2, 128
# The usual names of settings, in small. Of a family that calls them otherwise see SETTINGS.
COMMON = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": POSITIONS,
}
FROM_PADDING = {"max_position_embeddings": POSITIONS + 2}  # whose positions are counted from the padding's
ONE_TYPE = FROM_PADDING | {"type_vocab_size": 1}
GROUPED = {"num_key_value_heads": 1, "head_dim": WIDTH // HEADS}
WINDOWS = {"global_attn_every_n_layers": 3, "local_attention": 8}  # less than the texts of tests have
# By kind: what a real config of the family has, and transformers' defaults have not.
SETTINGS: dict[str, dict[str, Any]] = {
    "bert": {},
    "electra": {"embedding_size": WIDTH // 2},
    "ernie": {"use_task_id": True},
    "roberta": ONE_TYPE | {"layer_norm_eps": 1e-5},
    "data2vec-text": ONE_TYPE | {"layer_norm_eps": 1e-5},
    "xlm-roberta": ONE_TYPE | {"layer_norm_eps": 1e-5},
    "camembert": ONE_TYPE | {"layer_norm_eps": 1e-5},
    "distilbert": {
        "dim": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "hidden_dim": 2 * WIDTH,
        "max_position_embeddings": POSITIONS,
    },
    "modernbert": WINDOWS,
    "mmbert": WINDOWS,
    "modernbert-decoder": WINDOWS,
    "eurobert": GROUPED,
    "qwen3": GROUPED,
    "qwen3-embedding": GROUPED,
    "qwen2": {"num_key_value_heads": 1},
    "llama": GROUPED,
    "nomic_bert": {"head_dim": WIDTH // HEADS},
    "gte": {"type_vocab_size": 2},
    "gte-multilingual": {"type_vocab_size": 1},
    "jina_embeddings_v3": ONE_TYPE,
    "albert": {"embedding_size": WIDTH // 2},
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "mpnet": FROM_PADDING,
    "roformer": {"embedding_size": WIDTH},
}
KINDS = tuple(SETTINGS)
# The model_type of kinds that are called otherwise.
FAMILY = {"mmbert": "modernbert", "qwen3-embedding": "qwen3", "gte-multilingual": "gte"}


def make_tiny(kind: str, folder: Path, seed: int = 0, std: float = 0.2, **changed: Any) -> Path:
    """An encoder of `KINDS` with its tokenizer, as transformers saves them. Returns the folder.

    Args:
        kind: of family and tokenizer.
        folder: made where it is not there.
        seed: of the weights.
        std: of the weights' normal distribution. Values that begin as 0 or 1 are moved, too, by as much:
            else nothing would show what is done with them.
        changed: settings of the config, beside those of `SETTINGS`.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    save_real_tokenizer(kind, folder)
    torch.manual_seed(seed)
    model = AutoModel.from_config(make_config(kind, folder, std, **changed))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(std * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def make_config(kind: str, folder: Path, std: float = 0.2, **changed: Any) -> Any:
    """A config for the tokenizer of a folder, whose special tokens it names."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    roles = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id if begin is None else begin,
        "eos_token_id": tokenizer.sep_token_id if end is None else end,
    }
    values = {**({} if kind == "distilbert" else COMMON), **SETTINGS[kind], **roles}
    values |= {"vocab_size": 1 + max(tokenizer.get_vocab().values()), "initializer_range": std}
    return AutoConfig.for_model(FAMILY.get(kind, kind), **values | changed)


def save_real_tokenizer(kind: str, folder: Path) -> None:
    """``tokenizer.json`` and its settings, and the sentencepiece model where the family has one."""
    for name, content in FILES[kind]().items():
        (folder / name).write_bytes(content)


@cache
def read_lines() -> tuple[str, ...]:
    """What tokenizers are trained on: headlines, and the syllables and words that tests write."""
    with (ASSETS / "headlines" / "train.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    headlines = [row[0] for row in rows[:: len(rows) // LINES]]
    syllables = (" ".join(SYLLABLES[k:] + SYLLABLES[:k]) for k in range(len(SYLLABLES)))
    return (*headlines, *syllables, *[" ".join(WORDS)] * len(SYLLABLES))


def give_files(tokenizer: Any, named: str, **roles: str) -> dict[str, bytes]:
    """As a checkpoint has them, of a ``tokenizers.Tokenizer``."""
    about = {"tokenizer_class": named, "model_max_length": POSITIONS, **roles}
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps(about).encode(),
    }


@cache
def word_piece_files(
    named: str = "BertTokenizer",
    specials: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
) -> dict[str, bytes]:
    """``[CLS] A [SEP] B [SEP]``, lowercased, each Chinese character alone; MPNet's with RoBERTa's tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    pad, unknown, cls, sep, mask = specials
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    order = [*specials] if pad == "[PAD]" else [cls, pad, sep, unknown, mask]
    trainer = trainers.WordPieceTrainer(
        vocab_size=2 * PIECES, limit_alphabet=PIECES // 2, special_tokens=order, show_progress=False
    )
    tokenizer.train_from_iterator(read_lines(), trainer)
    ends: Any = [(token, tokenizer.token_to_id(token)) for token in (sep, cls)]
    if pad == "[PAD]":
        pair = f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"
        tokenizer.post_processor = processors.TemplateProcessing(f"{cls}:0 $A:0 {sep}:0", pair, ends)
    else:
        tokenizer.post_processor = processors.RobertaProcessing(*ends)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return give_files(tokenizer, named, **dict(zip(names, specials, strict=True)))


def train_byte_pairs(specials: Sequence[str]) -> Any:
    """Byte-level pairs; ``specials`` first in the vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=[*specials], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(read_lines(), trainer)
    return tokenizer


@cache
def roberta_files() -> dict[str, bytes]:
    """``<s> A </s> </s> B </s>``."""
    from tokenizers import processors

    tokenizer = train_byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return give_files(
        tokenizer, "RobertaTokenizer", **roles, cls_token="<s>", sep_token="</s>", mask_token="<mask>"
    )


@cache
def modernbert_files() -> dict[str, bytes]:
    """``[CLS] A [SEP] B [SEP]`` of byte pairs; special tokens are added behind the vocabulary."""
    from tokenizers import normalizers, processors

    tokenizer = train_byte_pairs(["<|padding|>", "<|endoftext|>"])
    tokenizer.normalizer = normalizers.NFC()
    specials = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    specials["mask_token"] = "[MASK]"
    tokenizer.add_special_tokens([*specials.values()])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends
    )
    return give_files(tokenizer, "PreTrainedTokenizerFast", **specials)


@cache
def llama_files(named: str = "PreTrainedTokenizerFast") -> dict[str, bytes]:
    """``<|begin_of_text|> A <|end_of_text|>``, as EuroBERT's; Llama's own have no end."""
    from tokenizers import processors

    begin, end, mask = "<|begin_of_text|>", "<|end_of_text|>", "<|mask|>"
    tokenizer = train_byte_pairs([])
    tokenizer.add_special_tokens([begin, end, mask])
    ends = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    pair = f"{begin} $A {end} $B {end}"
    tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", pair, ends)
    return give_files(tokenizer, named, bos_token=begin, eos_token=end, pad_token=end, mask_token=mask)


@cache
def qwen_files(ends: bool = False) -> dict[str, bytes]:
    """Nothing around a text; with ``ends`` its embedding models' ``A <|endoftext|>``."""
    from tokenizers import Regex, normalizers, pre_tokenizers, processors
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    end = "<|endoftext|>"
    tokenizer = train_byte_pairs([])
    tokenizer.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False)
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, in_bytes])
    tokenizer.add_special_tokens([end, "<|im_start|>", "<|im_end|>"])
    if ends:
        template = processors.TemplateProcessing(
            f"$A {end}", f"$A $B:1 {end}:1", [(end, tokenizer.token_to_id(end))]
        )
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return give_files(tokenizer, "Qwen2Tokenizer", eos_token="<|im_end|>", pad_token=end)


@cache
def gemma_files() -> dict[str, bytes]:
    """``<bos> A <eos>`` of byte pairs over characters, spaces written as ▁: mmBERT's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    fallback = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(fallback)
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + PIECES, special_tokens=specials, limit_alphabet=PIECES // 2, show_progress=False
    )
    tokenizer.train_from_iterator(read_lines(), trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [
        token for token in content["added_tokens"] if not token["content"].startswith("<0x")
    ]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<bos>", "<eos>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        "<bos> $A <eos>", "<bos> $A <eos> $B <eos>", ends
    )
    roles = {f"{role}_token": f"<{role}>" for role in ("pad", "eos", "bos", "unk", "mask")}
    return give_files(tokenizer, "GemmaTokenizerFast", **roles, cls_token="<bos>", sep_token="<eos>")


@cache
def sentencepiece_files(named: str) -> dict[str, bytes]:
    """A sentencepiece model, and the ``tokenizer.json`` that transformers' class makes of it.

    Args:
        named: the class, whose checkpoints call the model as it does.
    """
    import tempfile

    import transformers

    name, numbers = SENTENCE_PIECES[named]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(train_sentencepiece(**numbers))
        tokenizer = getattr(transformers, named).from_pretrained(folder)
        tokenizer.save_pretrained(folder)
        # Real ones have a few settings; transformers reads the file's own special tokens from it, too.
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def train_sentencepiece(**numbers: Any) -> bytes:
    """A Unigram model of `read_lines`, its numbers and names of control tokens as the family's."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(read_lines()),
        model_writer=written,
        model_type="unigram",
        vocab_size=2 * PIECES,  # it has all characters
        hard_vocab_limit=False,
        character_coverage=0.98,  # the least that it takes
        num_threads=1,
        minloglevel=2,
        **numbers,
    )
    return written.getvalue()


# By class of tokenizer: how its checkpoints call the model, and where its control tokens stand there.
SENTENCE_PIECES: dict[str, tuple[str, dict[str, Any]]] = {
    # transformers puts its own <s> <pad> </s> <unk> first.
    "XLMRobertaTokenizer": ("sentencepiece.bpe.model", {"unk_id": 0, "bos_id": 1, "eos_id": 2}),
    "CamembertTokenizer": ("sentencepiece.bpe.model", {"unk_id": 0, "bos_id": 1, "eos_id": 2}),
    "AlbertTokenizer": (
        "spiece.model",
        {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]"]}
        | {"user_defined_symbols": ["[MASK]"]},
    ),
    "DebertaV2Tokenizer": (
        "spm.model",
        {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]"}
        | {"eos_piece": "[SEP]", "unk_piece": "[UNK]"},
    ),
}
MPNET = ("<pad>", "[UNK]", "<s>", "</s>", "<mask>")
FILES: dict[str, Callable[[], dict[str, bytes]]] = {
    "bert": word_piece_files,
    "electra": word_piece_files,
    "ernie": word_piece_files,
    "distilbert": lambda: word_piece_files("DistilBertTokenizer"),
    "roberta": roberta_files,
    "data2vec-text": roberta_files,
    "xlm-roberta": lambda: sentencepiece_files("XLMRobertaTokenizer"),
    "camembert": lambda: sentencepiece_files("CamembertTokenizer"),
    "modernbert": modernbert_files,
    "mmbert": gemma_files,
    "modernbert-decoder": modernbert_files,
    "eurobert": llama_files,
    "qwen3": qwen_files,
    "qwen3-embedding": lambda: qwen_files(ends=True),
    "qwen2": qwen_files,
    "llama": llama_files,
    "nomic_bert": word_piece_files,
    "gte": word_piece_files,
    "gte-multilingual": lambda: sentencepiece_files("XLMRobertaTokenizer"),
    "jina_embeddings_v3": lambda: sentencepiece_files("XLMRobertaTokenizer"),
    "albert": lambda: sentencepiece_files("AlbertTokenizer"),
    "deberta-v2": lambda: sentencepiece_files("DebertaV2Tokenizer"),
    "mpnet": lambda: word_piece_files("MPNetTokenizer", MPNET),
    "roformer": word_piece_files,
}

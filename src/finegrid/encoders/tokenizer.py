"""Loads a checkpoint's tokeniser, and tells whether it can belong to the weights."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from finegrid.data.findings import quote, quote_all
from finegrid.encoders.families import embedded_checkpoint
from finegrid.encoders.files import describe_stand_in, read_json
from finegrid.encoders.sentence_pieces import SENTENCE_PIECES, check_sentence_pieces, find_sentence_pieces
from finegrid.encoders.unusual import MOST_ADDED, has_unusual, try_out
from finegrid.errors import InputError, Problem, first_line, input_error, refusing_panics
from finegrid.machine import versions
from finegrid.refusals import lacks_memory
from finegrid.spelling import count_noun
from finegrid.user_cache import Shelf

# What a checkpoint may bring for its tokeniser. Copied, not written anew: it then reads texts just alike.
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", *SENTENCE_PIECES),
)
WHOLE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
ADDED = ("special_tokens_map.json", "added_tokens.json")
TOKEN_LISTS = ("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder")
# Vocabularies by what they are of; each set is complete.
WORD_PIECES = (("vocab.txt",),)
BYTE_PAIRS = (("vocab.json", "merges.txt"),)
OTHER_KINDS = (*WORD_PIECES, *BYTE_PAIRS, *((name,) for name in SENTENCE_PIECES))
OF_CLASSES: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("Bert", "Electra", "DistilBert", "Ernie", "MPNet"), WORD_PIECES),
    **dict.fromkeys(("Roberta", "GPT2", "Qwen2"), BYTE_PAIRS),
    **dict.fromkeys(("XLMRoberta", "Camembert"), (("sentencepiece.bpe.model",),)),
    "Albert": (("spiece.model",),),
    "DebertaV2": (("spm.model",),),
}
# The classes of families, where they are not called like the family.
CLASSES = {
    "distilbert": "DistilBertTokenizer",
    "data2vec-text": "RobertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "mpnet": "MPNetTokenizer",
    **dict.fromkeys(("ernie", "nomic_bert"), "BertTokenizer"),
    **dict.fromkeys(("xlm-roberta", "gte", "jina_embeddings_v3"), "XLMRobertaTokenizer"),
}
MISSING = re.compile(r"(?:install|No module named) '?(?!the |it |them )([A-Za-z0-9_-]+)")
FEW_ROWS_LEFT = 128  # embeddings without a token: vocabularies are rounded up to such multiples
FAR_FEWER = 0.9  # of the embeddings: bert-base-chinese has 0.69 of the tokens of bert-base-uncased
MORE_TOKENS = 0.01  # of the embeddings: what was added and never trained is less
CAPITALS = 0.01  # of the pieces: cased vocabularies have a fifth and more, uncased ones none


@refusing_panics()
def load_tokenizer(folder: Path) -> Any:
    """The fast tokeniser of a checkpoint, as a ``tokenizers.Tokenizer`` that neither cuts nor pads.

    Raises:
        InputError: files are missing or damaged, it is written in Python, or knows special tokens only.
    """
    check_files(folder)
    tokenizer = load_embedded() if is_embedded(folder) else load_any(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if getattr(tokenizer.model, "dropout", None) is not None:
        tokenizer.model.dropout = None  # of merges: a text would have other tokens each time
    specials = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    if not set(tokenizer.get_vocab()) - specials:
        what = "gives no token for any text: its vocabulary has special tokens only. Copy its files anew."
        raise input_error(str(folder), "tokenizer", what)
    check_unknown(folder, tokenizer)
    return tokenizer


def check_unknown(folder: Path, tokenizer: Any) -> None:
    """Refuse word pieces without a token for what they do not know: they fail on the first such word.

    Raises:
        InputError: there is none.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    in_words = type(tokenizer.model).__name__ in ("WordPiece", "WordLevel")
    if in_words and unknown not in tokenizer.get_vocab(with_added_tokens=False):
        what = f"its vocabulary has no {quote(unknown)}, the token for unknown words. Copy its files anew."
        raise input_error(str(folder), "tokenizer", what)


def is_embedded(folder: Path) -> bool:
    return folder.resolve() == embedded_checkpoint().resolve()


def load_embedded() -> Any:
    """That of the embedded checkpoint: the same as by transformers, which take two seconds to import."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(embedded_checkpoint() / WHOLE))


def try_texts(folder: Path, texts: Iterable[tuple[str, ...]]) -> None:
    """Before a tokeniser with unusual parts is given texts here, let a process that can be ended read them.

    Args:
        folder: of the checkpoint.
        texts: single, or the parts of pairs.

    Raises:
        InputError: it takes more time or memory than any tokeniser does.
    """
    if is_embedded(folder):
        return
    unusual = [path for path in find_whole(folder) if has_unusual(path)]
    model = find_sentence_pieces(folder)
    if unusual or model is not None:
        every = [*dict.fromkeys(part for text in texts for part in text)]
        for path in unusual:
            try_out(path, every)
        if model is not None:
            try_converted(model, read_by_transformers(folder), every)


def try_converted(model: Path, tokenizer: Any, texts: Sequence[str] = ()) -> None:
    """As `try_out`, of the tokeniser that transformers has made of a sentencepiece model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WHOLE
        tokenizer.save(str(path))
        try_out(path, texts, model)


def find_whole(folder: Path) -> list[Path]:
    """Files that hold a tokeniser: transformers may take those of other versions."""
    return [path for path in sorted(folder.glob("tokenizer*.json")) if path.name != SETTINGS]


def load_any(folder: Path) -> Any:
    check_settings(folder)
    for path in find_whole(folder):
        try_out(path)
    if (model := find_sentence_pieces(folder)) is None:
        return recall_tokenizer(folder)
    check_sentence_pieces(model)
    tokenizer = read_by_transformers(folder)
    try_converted(model, tokenizer)
    return tokenizer


def recall_tokenizer(folder: Path) -> Any:
    """As `read_by_transformers` has made it of the same files before: importing these takes longer."""
    from tokenizers import Tokenizer

    files = sorted({*(folder / name for name in (*TOKENIZER, "config.json")), *find_whole(folder)})
    hashes = {path.name: hash_file(path) for path in files if path.is_file()}
    made_by = {
        name: version for name, version in versions().items() if name in ("transformers", "tokenizers")
    }
    shelf = Shelf("tokenizers", {"files": hashes, "versions": made_by})
    kept = shelf.get("tokenizer")
    if kept is not None and isinstance(kept.value, str):
        with suppress(Exception):  # a plain one, of whatever is no tokeniser
            return Tokenizer.from_str(kept.value)
    tokenizer = read_by_transformers(folder)
    content = tokenizer.to_str()
    if Tokenizer.from_str(content).to_str() == content:
        shelf.put("tokenizer", content)
        shelf.save()
    return tokenizer


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_by_transformers(folder: Path) -> Any:
    """The ``tokenizers.Tokenizer`` that transformers makes of the files, which have been checked."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    try:
        wrapped = AutoTokenizer.from_pretrained(
            str(folder), config=choose_config(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers and transformers raise a dozen kinds; the remedy is the same
        if lacks_memory(error):
            raise  # the checkpoint is not to blame
        raise input_error(str(folder), "tokenizer", f"cannot be loaded: {explain(folder, error)}") from error
    if (tokenizer := getattr(wrapped, "backend_tokenizer", None)) is None:
        what = f"cannot be loaded: {type(wrapped).__name__} is written in Python. {ONLY_FAST}"
        raise input_error(str(folder), "tokenizer", what)
    return tokenizer


def check_settings(folder: Path) -> None:
    """Refuse files beside the tokeniser that ask for code, or that would take transformers very long.

    Raises:
        InputError: there are such, or one that is no object of JSON.
    """
    for name in (SETTINGS, *ADDED):
        content = read_json(folder, name) or {}
        if content.get("auto_map") and name == SETTINGS:
            what = (
                "asks for code of its own (auto_map), and finegrid runs no code of a checkpoint. Take it out."
            )
            raise input_error(str(folder), name, what)
        lists = [content, *(content.get(key) for key in TOKEN_LISTS)]
        most = max(len(tokens) for tokens in lists if isinstance(tokens, list | dict))
        if most > MOST_ADDED:
            raise input_error(str(folder), name, f"has {most:,} tokens, expected {MOST_ADDED:,} at most.")


def choose_config(folder: Path) -> Any:
    """What transformers has to know of the encoder to choose the tokeniser's class, and nothing else."""
    from transformers import CONFIG_MAPPING, PreTrainedConfig

    about = read_json(folder, "config.json") or {}
    family, named = about.get("model_type"), about.get("tokenizer_class")
    known = isinstance(family, str) and family in CONFIG_MAPPING
    config = CONFIG_MAPPING[family]() if known else PreTrainedConfig()
    if isinstance(named, str):
        config.tokenizer_class = named
    return config


ONLY_FAST = (
    "finegrid reads those of the tokenizers library only. Take a checkpoint that has a tokenizer.json."
)


def explain(folder: Path, error: Exception) -> str:
    """Why transformers could not make a tokeniser."""
    if isinstance(error, ImportError) and (match := MISSING.search(str(error))):
        return f"{find_class(folder) or 'it'} needs the package {match[1]}. {ONLY_FAST}"
    return first_line(error)


def check_files(folder: Path) -> None:
    """Refuse a folder without a whole vocabulary, for which transformers would make an empty one.

    Raises:
        InputError: no vocabulary of the tokeniser's kind, or files that are only pointers.
    """
    found = [(name, describe_stand_in(folder / name)) for name in TOKENIZER]
    if problems := [Problem(name, instead) for name, instead in found if instead]:
        raise InputError(str(folder), problems)
    if (folder / WHOLE).exists():
        return
    kinds = OF_CLASSES.get(re.sub("Tokenizer(Fast)?$", "", find_class(folder) or ""), OTHER_KINDS)
    if any(all((folder / name).exists() for name in kind) for kind in kinds):
        return
    expected = ", ".join([WHOLE, *(" and ".join(kind) for kind in kinds)])
    there = [name for name in ("vocab.txt", "vocab.json", "merges.txt") if (folder / name).exists()]
    beside = f" Found {', '.join(there)}, which a {find_class(folder)} does not read." if there else ""
    what = (
        f"gives no token for any text: none of {expected}.{beside} Copy it from where the weights came from."
    )
    raise input_error(str(folder), "tokenizer", what)


def find_class(folder: Path) -> str | None:
    """The class of a tokeniser, as the folder says or as transformers would take it."""
    for name in (SETTINGS, "config.json"):
        about = read_json(folder, name) or {}
        if isinstance(found := about.get("tokenizer_class"), str):
            return found
    family = str((read_json(folder, "config.json") or {}).get("model_type", ""))
    return CLASSES.get(family, f"{family.capitalize()}Tokenizer" if family else None)


def check_pair(folder: Path, tokenizer: Any, rows: int, specials: list[int]) -> list[str]:
    """Whether a tokeniser can belong to the weights. Returns what is to be warned of.

    Args:
        folder: of the checkpoint.
        tokenizer: a ``tokenizers.Tokenizer``.
        rows: of the table of word embeddings.
        specials: the numbers of the special tokens that it puts around a text.

    Raises:
        InputError: it has tokens that the embeddings do not have.
    """
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    size = 1 + max(vocabulary.values(), default=-1)
    alien = [name for name in map(tokenizer.id_to_token, specials) if vocabulary.get(name, 0) >= rows]
    if alien:
        what = (
            f"its vocabulary has no {', '.join(dict.fromkeys(alien))}, which go around every text. "
            "Is it the tokenizer of this checkpoint?"
        )
        raise input_error(str(folder), "tokenizer", what)
    if size > rows * (1 + MORE_TOKENS):
        raise input_error(str(folder), "tokenizer", describe_excess(size, rows))
    return list(find_warnings(tokenizer, vocabulary, rows, specials))


def describe_excess(size: int, rows: int) -> str:
    return (
        f"gives numbers up to {size - 1:,}, but the encoder has embeddings for {rows:,} tokens. They are not "
        "of one checkpoint: copy the tokenizer from where the weights came from."
    )


def find_warnings(
    tokenizer: Any, vocabulary: dict[str, int], rows: int, specials: list[int]
) -> Iterator[str]:
    size = 1 + max(vocabulary.values())
    if size > rows:
        more = sorted(name for name, number in vocabulary.items() if number >= rows)
        yield (
            f"tokenizer: {count_noun(len(more), 'token')} without an embedding ({quote_all(more, 3)}): "
            "texts with them are refused."
        )
    if rows - size > FEW_ROWS_LEFT and size < FAR_FEWER * rows:
        yield (
            f"tokenizer: it has {size:,} tokens, but the encoder has embeddings for {rows:,}. "
            "Are both from the same checkpoint?"
        )
    own = tokenizer.get_vocab(with_added_tokens=False)
    names = [tokenizer.id_to_token(number) for number in specials if number > max(own.values(), default=-1)]
    if names and size <= rows:
        yield (
            f"tokenizer: its vocabulary has no {', '.join(dict.fromkeys(names))}, which go around every text "
            "and were added at its end. Is it the tokenizer of this checkpoint?"
        )
    if not specials:
        yield (
            "tokenizer: it puts no special tokens around a text, such as [CLS] and [SEP], with which "
            "encoders of this family were trained. Is it the tokenizer of this checkpoint?"
        )
    lost = find_lost_capitals(tokenizer)
    if lost and len(lost) >= CAPITALS * size:
        examples = quote_all(list(dict.fromkeys(lost))[:3])
        yield (
            f"tokenizer: {len(lost):,} of {size:,} pieces have capitals, such as {examples}, and "
            "this tokenizer never makes them, since it lowercases. Is do_lower_case = false missing in "
            "tokenizer_config.json?"
        )


def find_lost_capitals(tokenizer: Any) -> list[str]:
    """Pieces of the vocabulary with capitals that the tokeniser lowercases before it looks for them."""
    normalizer = tokenizer.normalizer
    if normalizer is None:
        return []
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    pieces = [piece.removeprefix("##") for piece in tokenizer.get_vocab() if piece not in added]
    capital = sorted(piece for piece in pieces if piece != piece.lower() and not piece.startswith("["))
    made = ((piece, normalizer.normalize_str(piece).strip()) for piece in capital)
    return [piece for piece, lowered in made if lowered and lowered == lowered.lower()]

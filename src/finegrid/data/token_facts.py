"""What the tokens of a study's texts are like: lengths, what is cut, what the vocabulary does not know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.data.findings import quote
from finegrid.data.reading_phrases import say
from finegrid.data.table import DataTable, Split
from finegrid.data.tokens import TokenisedSplit, encode, read_template
from finegrid.errors import InputError, Problem
from finegrid.spelling import Lang, count_noun
from finegrid.streams import Streams
from finegrid.words import SHARED

MOST_TEXTS = 50_000  # whose tokens `draw_token_facts` counts
# One token in twenty: more than the rare characters and emoji of texts in a checkpoint's own language make.
WARNED_SHARE = 0.05
REFUSED_SHARE = 0.5
EXAMPLES = 3
SEARCHED = 300  # texts with unknown tokens in which examples are looked for
SHOWN = 5  # places of texts without a token


@dataclass(frozen=True)
class TokenFacts:
    """The tokens of one split, or of texts drawn from it."""

    part: str  # train, dev or test
    texts: int  # that were looked at
    of: int  # that the split has
    mean: float  # of the lengths, in tokens, special ones counted, before cutting
    median: float
    percentile_99: float
    longest: int
    max_length: int
    cut: int  # texts that are longer
    lost: float  # share of the tokens of these that are cut off
    tokens: int  # without special ones
    unknown: int  # of these, the tokens that stand for what the vocabulary does not know
    examples: tuple[str, ...]  # of what it does not know, the most frequent first
    unknown_texts: int  # with tokens, all of them unknown
    empty_rows: tuple[int, ...]  # data rows of texts without a token, counted from 1
    half_empty: int  # pairs of which one text has no token
    largest: int  # number of a token

    @property
    def unknown_share(self) -> float:
        return self.unknown / self.tokens if self.tokens else 0.0


def draw_token_facts(
    table: DataTable, tokenizer: Any, max_length: int | Callable[[Sequence[NDArray[np.int64]]], int]
) -> list[TokenFacts]:
    """Facts of every split, from at most `MOST_TEXTS` of its texts: the same ones each time.

    Args:
        table: the checked texts.
        tokenizer: a ``tokenizers.Tokenizer``.
        max_length: the baseline's, in tokens; or what chooses it, given the lengths of each split's texts.
    """
    looked_at = []
    for part, split in splits_of(table):
        rows = np.arange(len(split))
        if len(split) > MOST_TEXTS:
            rows = np.sort(Streams(0).permutation(f"token facts/{part}", len(split))[:MOST_TEXTS])
        drawn = Split([split.texts[row] for row in rows], split.labels[rows], split.ids[rows])
        parts = len(split.texts[0])
        tokens, bounds = encode(drawn.texts, tokenizer)
        template = read_template(tokenizer, parts)
        encoded = TokenisedSplit(tokens, bounds, parts, drawn.labels, drawn.ids, template)
        looked_at.append((part, drawn, encoded, len(split)))
    longest = (
        max_length if isinstance(max_length, int) else max_length([e.lengths for _, _, e, _ in looked_at])
    )
    return [
        count_tokens(part, drawn, encoded, tokenizer, longest, of) for part, drawn, encoded, of in looked_at
    ]


def splits_of(table: DataTable) -> Iterator[tuple[str, Split]]:
    yield from (("train", table.train), ("dev", table.dev), ("test", table.test))


def count_tokens(
    part: str, split: Split, encoded: TokenisedSplit, tokenizer: Any, max_length: int, of: int | None = None
) -> TokenFacts:
    """The facts of some texts.

    Args:
        part: what they are of.
        split: the texts.
        encoded: their tokens, by ``tokenizer``.
        tokenizer: a ``tokenizers.Tokenizer``.
        max_length: the baseline's, in tokens.
        of: how many texts these were drawn from; None: they are all.
    """
    lengths = encoded.lengths
    over = lengths > max_length
    unknown = encoded.tokens == find_unknown_number(tokenizer)
    parts = np.diff(encoded.bounds).reshape(len(split), encoded.parts)
    sums = np.concatenate([[0], np.cumsum(unknown)])[encoded.bounds]
    unknown_parts = np.diff(sums).reshape(len(split), encoded.parts).sum(axis=1)
    sizes = parts.sum(axis=1)
    return TokenFacts(
        part=part,
        texts=len(split),
        of=len(split) if of is None else of,
        mean=float(lengths.mean()),
        median=float(np.median(lengths)),
        percentile_99=float(np.percentile(lengths, 99, method="higher")),
        longest=int(lengths.max()),
        max_length=max_length,
        cut=int(over.sum()),
        lost=float((lengths[over] - max_length).sum() / lengths[over].sum()) if over.any() else 0.0,
        tokens=len(encoded.tokens),
        unknown=int(unknown.sum()),
        examples=find_unknown_words(split, np.flatnonzero(unknown_parts), tokenizer),
        unknown_texts=int(((unknown_parts == sizes) & (sizes > 0)).sum()),
        empty_rows=tuple(split.ids[sizes == 0].tolist()),
        half_empty=int(((parts == 0).any(axis=1) & (sizes > 0)).sum()),
        largest=int(encoded.tokens.max(initial=0)),
    )


def find_unknown_number(tokenizer: Any) -> int:
    """The number of the token for what the vocabulary does not know; -1 where nothing is unknown."""
    name = getattr(tokenizer.model, "unk_token", None)
    if name is not None:
        number = tokenizer.token_to_id(name)
        return -1 if number is None else int(number)
    number = json.loads(tokenizer.to_str())["model"].get("unk_id")  # of SentencePiece's
    return number if isinstance(number, int) else -1


def find_unknown_words(split: Split, rows: NDArray[np.int64], tokenizer: Any) -> tuple[str, ...]:
    """The most frequent words, or pieces of the texts, that became unknown tokens."""
    number = find_unknown_number(tokenizer)
    found: Counter[str] = Counter()
    texts = [piece for row in rows[:SEARCHED] for piece in split.texts[row]]
    for text, encoding in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
        places = zip(encoding.ids, encoding.offsets, strict=True)
        found.update(text[begin:end] for token, (begin, end) in places if token == number)
    return tuple(word for word, _ in found.most_common(EXAMPLES))


def check_tokens(facts: Sequence[TokenFacts]) -> None:
    """Refuse texts that say nothing to the checkpoint.

    Raises:
        InputError: texts without a token, or splits more than half of whose tokens are unknown.
    """
    if all(fact.tokens == 0 for fact in facts):
        raise InputError(
            "tokens", [Problem("tokenizer", "gives no token for any text. Copy its files anew.")]
        )
    problems = []
    for fact in facts:
        if fact.empty_rows:
            rows = ", ".join(map(str, fact.empty_rows[:SHOWN])) + ", ..." * (len(fact.empty_rows) > SHOWN)
            what = (
                f"{count_noun(len(fact.empty_rows), 'text')} for which the tokenizer gives no token: "
                f"data row{'s' * (len(fact.empty_rows) > 1)} {rows}. Take out such rows."
            )
            problems.append(Problem(fact.part, what))
    if unknown := describe_unknown([fact for fact in facts if fact.unknown_share > REFUSED_SHARE]):
        problems.append(Problem("tokenizer", f"{unknown}. Take a checkpoint of the texts' language."))
    if problems:
        raise InputError("tokens", problems)


def find_token_warnings(facts: Sequence[TokenFacts]) -> list[str]:
    """What is cut, and what the vocabulary does not know."""
    warnings = []
    for fact in facts:
        if fact.cut:
            texts = "texts" if fact.texts == fact.of else "drawn texts"
            warnings.append(
                f"{fact.part}: {fact.cut} of {fact.texts} {texts} are longer than model.max_length = "
                f"{fact.max_length} tokens and are cut; {fact.lost:.0%} of their tokens are lost "
                f"(the longest has {fact.longest})."
            )
        if fact.half_empty:
            warnings.append(
                f"{fact.part}: {count_noun(fact.half_empty, 'pair')} of which one text gives no token."
            )
    if unknown := describe_unknown([fact for fact in facts if fact.unknown_share >= WARNED_SHARE]):
        warnings.append(f"{unknown}. Does the checkpoint know the texts' language?")
    return warnings


def describe_unknown(facts: Sequence[TokenFacts]) -> str:
    """``62 % of the tokens of train are unknown to this checkpoint's vocabulary, e.g. 'x', 'y'``.

    Empty where there are no facts.
    """
    if not facts:
        return ""
    shares = [
        f"{100 * fact.unknown_share:.0f} %{' of the tokens' * (not i)} of {fact.part}"
        for i, fact in enumerate(facts)
    ]
    examples = quote_examples(facts)
    blind = sum(fact.unknown_texts for fact in facts)
    none = f"; {count_noun(blind, 'text')} {'has' if blind == 1 else 'have'} no known token"
    return f"{', '.join(shares)} are unknown to this checkpoint's vocabulary{examples}{none if blind else ''}"


def quote_examples(facts: Iterable[TokenFacts], lang: Lang = "en") -> str:
    """``, e.g. 'x', 'y'``; empty if nothing is unknown."""
    words = list(dict.fromkeys(word for fact in facts for word in fact.examples))[:EXAMPLES]
    quoted = SHARED[lang]["list comma"].join(map(quote, words))
    return say("examples", lang, examples=quoted) if words else ""


def describe_tokens(facts: Sequence[TokenFacts], lang: Lang = "en") -> str:
    """``tokens    train 19.8 a text (median 20, ...), dev ...``: lengths, and what is unknown."""
    splits = SHARED[lang]["comma"].join(describe_split(fact, lang) for fact in facts)
    return say("tokens", lang, splits=splits) + quote_examples(facts, lang)


def describe_split(fact: TokenFacts, lang: Lang = "en") -> str:
    return say(
        "split",
        lang,
        part=say(fact.part, lang),
        mean=fact.mean,
        drawn=say("drawn ones", lang, texts=fact.texts) if fact.texts < fact.of else "",
        median=fact.median,
        high=fact.percentile_99,
        longest=fact.longest,
        cut=fact.cut,
        length=fact.max_length,
        share=describe_share(fact, lang),
    )


def describe_share(fact: TokenFacts, lang: Lang = "en") -> str:
    percent = 100 * fact.unknown_share
    return f"{percent:.1f} %" if not 0 < percent < 0.05 else say("less", lang)

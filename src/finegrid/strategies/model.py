"""How texts become one vector: pooling, and the longest text that is read whole.

Pooling What is called ``cls-...`` reads the first token, ``last-token`` the last one; all others read all
        real tokens, special ones among them. L layers; layer 0 is the output of the embeddings.
        ``first-last-mean`` (Su et al. 2021, BERT-whitening; also in the THUCNews study): mean over tokens of
        the mean of layers 1 and L. ``last-mean``: mean over tokens of layer L. ``max``: their maximum,
        element by element. ``cls``: layer L at the first token. ``pooler``: the checkpoint's own pooler (a
        linear layer and tanh on ``cls``); ELECTRA and DistilBERT have none. ``last-token``: layer L at
        the last token, the only one that has seen the whole text in a decoder.
        ``mean-of-last-4``: mean over tokens of the mean of layers L-3 to L. ``concat-last-4``: means over
        tokens of the same layers side by side, so that the head is four times as wide. ``cls-last-4``: mean
        of the first token in the same layers. ``cls-max-3`` (MaxPoolBERT, 2505.15696): maximum of the first
        token in layers L-2 to L, element by element.
        ``weighted``: mean over tokens of sum_l w_l h_l over layers 0 to L, w = softmax(s), s = 0 at the
        start: L + 1 parameters. ``attention``: sum_t a_t h_t of layer L, a = softmax over a text's tokens of
        v . tanh(W h_t): width^2 + width parameters, drawn as the head is.
Length  Texts are cut to ``max_length`` tokens, special tokens counted.
Keep    Which tokens of a longer text stay: its first (``head``), its last (``tail``), or of a budget of b
        tokens without special ones the first ceil(b / 4) and the last b - ceil(b / 4) (``head+tail``; Sun et
        al. 2019, 1905.05583: 128 and 382 of 510). Of a pair the longer text is cut first, and each text that
        is cut keeps these of its own tokens. Inert where no text is longer than ``max_length``.
        Evidence A, on long documents. Position embeddings count through: they do not show the gap.
Differs Others put the first tokens of the last four layers side by side; ``concat-last-4`` has their means.
Reduces The loss stays the mean over a batch's texts.
Evidence B/D: differences between poolings are mostly noise, but for small training sets.
Note    ``pooler`` is the only pooling through which the pooler reaches the loss; under the others
        ``reinit.pooler`` is inert. ``head.kind = "huggingface"`` decides the pooling itself.
        In a decoder the first token sees nothing but itself: poolings that read it are refused.
        The parameters of ``weighted`` and ``attention`` belong to the head and learn at its rate. The scores
        of ``weighted`` hardly move at an encoder's rate, so that it stays the mean of all layers: give the
        head a rate some hundred times that of the encoder.
        Of lower layers one vector a text is kept, not the tokens; a shared frozen bottom keeps the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.data.tokens import Keep
from finegrid.encoders.poolings import OF_FIRST_TOKENS, TOP_LAYERS, Pooling
from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, Part, UsualLevels

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class ModelSettings(Part):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "pooling",
            ("pooling",),
            "architecture",
            "B/D",
            synonyms=(
                "cls",
                "mean pooling",
                "max pooling",
                "attention pooling",
                "MaxPoolBERT",
                "last layers",
            ),
            chinese=("池化", "池化方式", "平均池化", "最大池化", "注意力池化", "句向量"),
        ),
        Listing(
            "length",
            ("max_length",),
            "texts",
            "A",
            step="in proportion to tokens",
            synonyms=("max_seq_length", "truncation"),
            chinese=("文本长度", "长度", "最大长度", "截断", "截断长度"),
        ),
        Listing(
            "head and tail",
            ("keep",),
            "texts",
            "A",
            step="in proportion to tokens",
            synonyms=("head+tail", "truncation_side", "long texts"),
            chinese=("头尾截断", "头尾", "长文本", "保留头尾"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"pooling": (), "max_length": (128, 64), "keep": ()}
    touches: ClassVar[Mapping[str, Claim]] = {
        # Some poolings have parameters of their own, or make the head wider. A head that is probed before the
        # run starts from what the model makes of the texts.
        "pooling": {"pooling": "all", "initial": "head", "trained": "head"},
        "max_length": {"data": "all", "initial": "head"},
        "keep": {"data": "all", "initial": "head"},
    }

    pooling: Annotated[Pooling, Field(description="how token vectors become one")] = "first-last-mean"
    max_length: Annotated[int, Field(ge=3, description="tokens; longer texts are cut")] = 128
    keep: Annotated[Keep, Field(description="which tokens of a longer text stay")] = "head"

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        found = []
        if self.pooling == "pooler" and not checkpoint.has_pooler:
            found.append(Problem('"model.pooling"', f'"pooler", but {checkpoint.family} has no pooler.'))
        if checkpoint.is_decoder and self.pooling in OF_FIRST_TOKENS:
            what = (
                f'"{self.pooling}" reads the first token, which in {checkpoint.family}, a decoder, sees '
                'nothing but itself. Take "last-token" or "last-mean".'
            )
            found.append(Problem('"model.pooling"', what))
        if (needed := TOP_LAYERS.get(self.pooling, 1)) > checkpoint.layers:
            layers = f"{checkpoint.layers} layer{'s' * (checkpoint.layers != 1)}"
            what = f'"{self.pooling}" reads {needed} layers, but the encoder has {layers}. Take another.'
            found.append(Problem('"model.pooling"', what))
        if self.max_length > checkpoint.positions:
            what = f"level {self.max_length}, but the encoder has {checkpoint.positions} positions."
            found.append(Problem('"model.max_length"', what))
        return found

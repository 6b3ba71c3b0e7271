"""LoRA: matrices stay as they are, and what is added to them is of low rank and trains.

Paper   Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022 (2106.09685).
Idea    What fine-tuning changes of a matrix is nearly of low rank: two narrow matrices suffice to learn it.
Off     ``rank=0``.
Exactly A matrix W of a layer becomes W + ``scale`` * B A. A is [rank, in], drawn from U(-1/sqrt(in),
        1/sqrt(in)) by a stream of its own, which is kaiming_uniform with a = sqrt(5); B is [out, rank] and
        0, so that the first step sees the checkpoint. A and B train, and so does the head; so does a pooler
        that the checkpoint lacks or that is drawn afresh. All else of the encoder stays: it gets no
        gradient and has no moments. ``targets`` are the queries and values of attention (``qv``), its keys
        and output, too (``qkvo``), or every linear layer of the layers that are not frozen
        (``all-linear``). r * (in + out) numbers train for each. ``rate`` is the peak learning rate of all
        that trains, in the place of ``optimizer.rate``; rates by layer, schedule and weight decay act on
        A and B as on other matrices.
Rate    So few numbers need a higher rate, 10 times that of full fine-tuning or more. It is ``lora.rate`` by
        itself, never ``optimizer.rate``: at one rate for both the comparison would be unfair.
Differs The paper's alpha is ``scale`` times the rank: here another rank does not change the scale. rsLoRA
        (2312.03732) would have alpha / sqrt(rank). LoRA's own dropout is left out, since the encoder keeps
        its own. Averages are those of A and of B, not of their product.
Note    A kept model has W + ``scale`` * B A as its matrices: it is a plain model of transformers, and needs
        no peft. Layers that are drawn afresh would need all of their numbers, and are refused beside it;
        so are other ways to choose what trains, and prior decay, since A and B have no value of the
        checkpoint. Families whose queries, keys and values are one matrix know ``all-linear`` alone.
Reduces The loss stays the mean over a batch's texts.
Evidence A for memory; D for the score of small encoders, at most that of full fine-tuning.
Path    In stacks and captured steps. Hand-written layers compute with the sum of both, made once a step, and
        never with the gradient of a whole matrix. In hosted layers the narrow products go beside the layer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.encoders.hosted import FUSED_ATTENTION, WITHOUT_LINEARS
from finegrid.errors import Problem, input_error
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import nn

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.anatomy import EncoderLayer
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup

# Of attention, by the names that `EncoderLayer.linears` has for them.
CHOSEN = {"qv": ("query", "value"), "qkvo": ("query", "key", "value", "attention_out")}


@dataclass(frozen=True, config=STRICT)
class Lora(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "LoRA",
            ("rank", "targets", "scale", "rate"),
            "what trains",
            "A/D",
            step="0.7",
            synonyms=("low-rank adaptation", "low-rank adapters", "PEFT", "lora_alpha", "lora_r"),
            chinese=("LoRA 低秩适配", "低秩适配", "低秩微调", "参数高效微调"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"rank": (0, 8, 64)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "rank": {"initial": "encoder", "trained": "all", "rates": "all"},
        "targets": {"initial": "encoder", "trained": "encoder"},
        "scale": {"gradients": "encoder"},
        "rate": {"rates": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"scale": "nothing", "rate": "nothing"}

    rank: Annotated[int, Field(ge=0, le=1024, description="of what is added to a matrix; 0: nothing")] = 0
    targets: Annotated[
        Literal["qv", "qkvo", "all-linear"], Field(description="the matrices to which something is added")
    ] = "qv"
    scale: Annotated[float, Field(gt=0, le=1000, description="of what is added: alpha / rank of papers")] = (
        1.0
    )
    rate: Annotated[float, Field(gt=0, le=1, description="peak learning rate of what trains")] = 5e-4

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.rank:
            return []
        family = checkpoint.family
        if family in WITHOUT_LINEARS:
            what = (
                f"level {self.rank}, but the layers of {family} are not made of linear layers. Leave it at 0."
            )
            return [Problem('"lora.rank"', what)]
        if self.targets in CHOSEN and family in FUSED_ATTENTION:
            return [Problem('"lora.targets"', describe_missing(self.targets, family))]
        return []

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.rank:
            return []
        level, found = f"rank {self.rank}", []
        if (only := levels["train.only"]) != "all":
            what = f'{level} and "{only}", but each decides what trains. Leave one of the two out.'
            found.append(Problem('"lora.rank" + "train.only"', what))
        if levels["freeze.layers"] == checkpoint.layers:
            what = (
                f"{level}, but all {checkpoint.layers} layers are frozen: no matrix is left to add to. "
                "Freeze fewer layers, or leave one of the two out."
            )
            found.append(Problem('"lora.rank" + "freeze.layers"', what))
        if levels["reinit.layers"]:
            what = (
                f"{level}, but layers that are drawn afresh need all of their numbers to learn. Leave one of "
                "the two out."
            )
            found.append(Problem('"lora.rank" + "reinit.layers"', what))
        if levels["prior.decay"]:
            what = (
                f"{level} with prior decay, but the checkpoint has no value for what trains. Weight decay "
                "pulls it to nothing added. Leave one of the two out."
            )
            found.append(Problem('"lora.rank" + "prior.decay"', what))
        return found

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if not self.rank:
            return
        from finegrid.model.low_rank import LowRank, attach_

        fresh = {p for root in model.fresh for p in root.parameters()}
        unread = model.parts.pooler if model.pooling != "pooler" else None
        fresh -= {*unread.parameters()} if unread is not None else set()
        for p in model.encoder.parameters():
            if p not in fresh:
                p.requires_grad_(False)
        names = {module: name for name, module in model.named_modules()}
        for layer in dict.fromkeys(chosen_layers(model, self.targets)):
            stream = f"lora/{names[layer]}"
            attach_(layer, LowRank(layer, self.rank, self.scale, setting.streams, stream))

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        return [{**group, "lr": self.rate} for group in groups] if self.rank else groups

    def form(self, setting: Setting) -> Hashable:
        """The scale: no initial value, and no rate, shows it."""
        return ("lora", self.scale) if self.rank else None


def chosen_layers(model: Classifier, targets: str) -> Iterator[nn.Linear]:
    """The linear layers to whose weights something is added, bottom up.

    Raises:
        InputError: the encoder has none of those.
    """
    for layer in model.parts.layers[model.frozen_layers :]:
        yield from of_layer(layer, targets, model.parts.family)


def of_layer(layer: EncoderLayer, targets: str, family: str) -> Iterator[nn.Linear]:
    linears = layer.linears
    names = CHOSEN.get(targets, tuple(linears))
    if not names or any(name not in linears for name in names):
        raise input_error("study.toml", '"lora.targets"', describe_missing(targets, family))
    yield from (linears[name] for name in names)


def describe_missing(targets: str, family: str) -> str:
    if targets not in CHOSEN:
        return f'"{targets}", but no linear layers are found in the layers of {family}. Leave lora.rank at 0.'
    return (
        f'"{targets}", but in {family} the matrices of queries, keys and values are not told apart. Expected '
        '"all-linear".'
    )

"""A kept model over padded batches, as transformers and tokenizers make them: what leaves finegrid's house.

The same numbers as the packed model's, for exporters; finegrid itself never pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.model.head import ClassifierHead
from finegrid.model.pooling import Pool


class PaddedClassifier(nn.Module):
    """An encoder of transformers with a head of ours; or all of it transformers' own."""

    def __init__(self, model: nn.Module, head: ClassifierHead | None) -> None:
        """
        Args:
            model: an encoder; without a head of ours, a whole classifier.
            head: pooling and head, in evaluation mode.
        """
        super().__init__()
        self.model, self.head = model, head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits ``[texts, classes]`` of ``[texts, tokens]`` each."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self.head is None:
            whole: Tensor = self.model(**inputs).logits
            return whole
        hidden = self.model(**inputs, output_hidden_states=True).hidden_states
        vectors = pool_padded(self.head.pool, hidden, attention_mask[:, :, None])
        if self.head.pool.pooling == "pooler":
            vectors = self.model.get_submodule("pooler")(vectors[:, None])
        logits: Tensor = self.head(vectors)
        return logits


def pool_padded(pool: Pool, hidden: Sequence[Tensor], real: Tensor) -> Tensor:
    """One vector a text, ``[texts, width]``.

    Args:
        pool: the pooling, with its parameters.
        hidden: ``[texts, tokens, width]`` of every level, the embeddings' output first.
        real: ``[texts, tokens, 1]``, 0 where there is padding.
    """

    def mean(level: Tensor) -> Tensor:
        return (level * real).sum(1) / real.sum(1)

    last = hidden[-1]
    match pool.pooling:
        case "cls" | "pooler":
            return last[:, 0]
        case "last-mean":
            return mean(last)
        case "first-last-mean":
            return mean((hidden[1] + last) / 2)
        case "last-token":
            ends = torch.arange(last.shape[1], device=last.device) * real[:, :, 0]
            places = ends.argmax(1)[:, None, None].expand(-1, 1, last.shape[2])
            return last.gather(1, places)[:, 0]  # `len(last)` would be fixed in an exported graph
        case "max":
            return last.masked_fill(real == 0, -torch.inf).amax(1)
        case "mean-of-last-4":
            return mean(torch.stack(list(hidden[-4:])).mean(0))
        case "concat-last-4":
            return torch.cat([mean(level) for level in hidden[-4:]], -1)
        case "cls-last-4":
            return torch.stack([level[:, 0] for level in hidden[-4:]]).mean(0)
        case "cls-max-3":
            return torch.stack([level[:, 0] for level in hidden[-3:]]).amax(0)
        case "weighted":
            shares = pool.scores.softmax(0)[:, None, None, None]
            return mean((shares * torch.stack(list(hidden))).sum(0))
        case "attention":
            scores: Tensor = pool.score(pool.dense(last).tanh())
            shares = scores.masked_fill(real == 0, -torch.inf).softmax(1)
            return (shares * last).sum(1)

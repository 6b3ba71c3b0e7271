"""Depth by stacking: a trained shallow encoder becomes the start of a deeper one.

Paper   Gong et al., Efficient Training of BERT by Progressively Stacking, ICML 2019.
Exactly Layer i of the deeper one is a copy of layer i modulo the old depth; everything else stays.
"""

from __future__ import annotations

import copy
import re
from typing import Any

OF_A_LAYER = re.compile(r"(.+\.layer\.)(\d+)(\..+)")  # a tensor's name


def grow(model: Any, layers: int) -> Any:
    """A ``BertForPreTraining`` of ``layers`` layers, a multiple of what there is, from a shallower one."""
    from transformers import BertForPreTraining

    before = model.config.num_hidden_layers
    if layers % before:
        raise ValueError(f"{layers} layers are no multiple of {before}")
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = layers
    deeper = BertForPreTraining(config)
    weights = model.state_dict()
    for name in deeper.state_dict():
        if match := OF_A_LAYER.fullmatch(name):
            stack, index, rest = match.groups()
            weights[name] = weights[f"{stack}{int(index) % before}{rest}"]
    deeper.load_state_dict(weights)
    return deeper

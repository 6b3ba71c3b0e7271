"""Python for the card of a kept model: loads it with transformers and torch alone, and no more than that."""

from __future__ import annotations

from textwrap import dedent, indent

from finegrid.encoders.poolings import Pooling
from finegrid.inference.fitted import Fitted

FOLDER = 'folder = "."  # where this README.md lies'
# A text's vector, [texts, width], of all levels [texts, tokens, width] and ``real`` [texts, tokens, 1].
POOLED: dict[Pooling, str] = {
    "cls": "vector = hidden[-1][:, 0]",
    "pooler": "vector = encoder.pooler(hidden[-1])",
    "last-mean": "vector = mean(hidden[-1], real)",
    "first-last-mean": "vector = mean((hidden[1] + hidden[-1]) / 2, real)",
    "max": 'vector = hidden[-1].masked_fill(real == 0, float("-inf")).amax(1)',
    "mean-of-last-4": "vector = mean(sum(hidden[-4:]) / 4, real)",
    "concat-last-4": "vector = torch.cat([mean(level, real) for level in hidden[-4:]], -1)",
    "cls-last-4": "vector = sum(hidden[-4:])[:, 0] / 4",
    "cls-max-3": "vector = torch.stack([level[:, 0] for level in hidden[-3:]]).amax(0)",
    "last-token": dedent("""\
        last = (torch.arange(real.shape[1]) * real[:, :, 0]).argmax(1)
        vector = hidden[-1][torch.arange(len(last)), last]"""),
    "weighted": dedent("""\
        shares = head["pool.scores"].softmax(0)
        vector = mean(sum(share * level for share, level in zip(shares, hidden)), real)"""),
    "attention": dedent("""\
        scores = (hidden[-1] @ head["pool.dense.weight"].T).tanh() @ head["pool.score.weight"].T
        shares = scores.masked_fill(real == 0, float("-inf")).softmax(1)
        vector = (shares * hidden[-1]).sum(1)"""),
}
LOAD_WHOLE = f"""
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

{FOLDER}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
labels = model.config.id2label
"""
LOAD_PARTS = f"""
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

{FOLDER}
tokenizer = AutoTokenizer.from_pretrained(folder)
encoder = AutoModel.from_pretrained(folder).eval()
head = load_file(f"{{folder}}/head.safetensors")
labels = encoder.config.id2label
"""
LOGITS = '''
@torch.inference_mode()
def logits_of({both}):
    """Of {given}: a row each, a column per label."""
    batch = {batch}
{body}
'''
EXAMPLE = """
for row in logits_of({example}).softmax(-1):
    print(labels[int(row.argmax())], float(row.max()))
"""
MEAN = '''
def mean(level, real):
    """Over the tokens of each text, without padding."""
    return (level * real).sum(1) / real.sum(1)

'''
# Of texts that are too long the first quarter and the last three quarters; of a pair the longer one first.
HEAD_AND_TAIL = '''
def encode(texts, seconds=None):
    """Tokens of texts: of one that is too long, its first quarter and the rest from its end."""
    batch = tokenizer(texts, seconds)
    rows = {{key: [] for key in batch}}
    for row in range(len(texts)):
        owners = batch.sequence_ids(row)  # 0: first text, 1: second text, None: special token
        first, second = owners.count(0), owners.count(1)
        budget = {max_length} - owners.count(None)
        if first + second > budget:  # the longer one of a pair is cut first
            shorter = min(first, second, budget // 2)
            first, second = (budget - shorter, shorter) if first > second else (shorter, budget - shorter)
        places = [place for place, owner in enumerate(owners) if owner is None]
        for text, kept in (0, first), (1, second):
            own = [place for place, owner in enumerate(owners) if owner == text]
            front = -(-kept // 4)
            places += own[:front] + own[len(own) - (kept - front) :]
        for key in batch:
            rows[key].append([batch[key][row][place] for place in sorted(places)])
    return tokenizer.pad(rows, return_tensors="pt")

'''


def loading_code(fitted: Fitted) -> str:
    """Code that loads a kept model and gives logits: ``logits_of(texts)``, of pairs ``(texts, seconds)``."""
    functions = [LOGITS.format(**logits_parts(fitted))]
    if fitted.head_kind == "finegrid" and "mean(" in POOLED[fitted.pooling]:
        functions.insert(0, MEAN)
    if fitted.keep == "head+tail":
        functions.insert(0, HEAD_AND_TAIL.format(max_length=fitted.max_length))
    example = '["..."], ["..."]' if fitted.texts == 2 else '["..."]'
    loading = LOAD_WHOLE if fitted.head_kind == "huggingface" else LOAD_PARTS
    blocks = [loading, *functions, EXAMPLE.format(example=example)]
    return "\n\n\n".join(block.strip("\n") for block in blocks) + "\n"


def logits_parts(fitted: Fitted) -> dict[str, str]:
    both = "texts, seconds" if fitted.texts == 2 else "texts"
    cutting = f'tokenizer({both}, truncation=True, padding=True, return_tensors="pt")'
    whole = fitted.head_kind == "huggingface"
    return {
        "both": both,
        "given": "a list of texts" + " and a list of their second texts" * (fitted.texts == 2),
        "batch": f"encode({both})" if fitted.keep == "head+tail" else cutting,
        "body": indent("return model(**batch).logits" if whole else head_code(fitted), "    "),
    }


def head_code(fitted: Fitted) -> str:
    """From tokens to logits, with finegrid's own head."""
    pooled = POOLED[fitted.pooling]
    lines = ["hidden = encoder(**batch, output_hidden_states=True).hidden_states"]
    if "real" in pooled:
        lines.append('real = batch["attention_mask"][:, :, None]  # 1: a token of the text, 0: padding')
    lines += [
        pooled,
        'vector = F.layer_norm(vector, vector.shape[-1:], head["norm.weight"], head["norm.bias"])',
    ]
    if fitted.head_hidden:
        lines.append('vector = F.linear(vector, head["dense.weight"], head["dense.bias"]).tanh()')
    lines.append('return F.linear(vector, head["linear.weight"], head["linear.bias"])')
    return "\n".join(lines)

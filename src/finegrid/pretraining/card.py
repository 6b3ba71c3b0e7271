"""The model card of a pre-trained checkpoint, written by the command that made it. Torch-free."""

from __future__ import annotations

from typing import Any

from finegrid.data.markdown import code_block, code_span, escape_line
from finegrid.errors import visible

# Of a file's lines and documents, in the order of the table's columns.
COUNTS = {
    "lines": "lines",
    "repeated": "repeated, dropped",
    "excluded": "excluded",
    "short": "too short",
    "documents": "documents",
    "characters": "characters",
}


def write_card(name: str, about: dict[str, Any]) -> str:
    """Markdown.

    Args:
        name: of the checkpoint.
        about: what stands in ``pretraining.json`` of a finished run.
    """
    asked, progress, shape = about["asked"], about["progress"], about["shape"]
    curve = progress["curve"]
    last = curve[-1]
    rows = [
        f"| {point['tokens'] / 1e6:.2f} | {point['seconds'] / 60:.1f} | {point['layers']} "
        f"| {point['loss']:.4f} | {point['accuracy']:.2%} | {point['pair_accuracy']:.1%} |"
        for point in curve
    ]
    files = [
        " | ".join(
            [
                f"| {escape_line(file['name'])}",
                *(f"{file[key]:,}" for key in COUNTS),
                f"{weight:g}",
                f"{held_out['loss']:.4f} |",
            ]
        )
        for file, weight, held_out in zip(about["files"], about["weights"], progress["by_file"], strict=True)
    ]
    source = f"from {code_span(asked['init'])}" if asked["init"] else "from random weights"
    stages = f", grown by stacking: {', '.join(map(str, asked['grow']))} layers" if asked["grow"] else ""
    return "\n".join(
        [
            f"# {escape_line(name)}",
            "",
            f"A BERT of {shape['num_hidden_layers']} layers, width {shape['hidden_size']}, "
            f"{shape['num_attention_heads']} heads and {shape['vocab_size']:,} word pieces: "
            f"{about['parameters']:,} parameters with both heads, {asked['dtype']}, "
            f"{about['bytes'] / 1e6:.1f} MB.",
            "",
            f"Made by `finegrid pretrain` {source}{stages}, {progress['tokens']:,} tokens in "
            f"{progress['step']:,} steps and {progress['seconds'] / 60:.0f} minutes. Masked-language "
            f"modelling ({asked['mask_share']:.0%} of the tokens hidden, by {asked['masking']}) and, for "
            f"{asked['pair_share']:.0%} of the sequences, whether the second half goes on from the first, "
            "which trains the pooler.",
            "",
            f"At the end, on held-out text: loss {last['loss']:.4f} nats a hidden token, "
            f"{last['accuracy']:.2%} of them guessed, {last['pair_accuracy']:.1%} of pairs told apart.",
            "",
            code_block("\n".join(map(visible, about["command"].split("\n")))),
            "",
            f"sha256 of `model.safetensors`: `{about['sha256']}`",
            "",
            "## Corpus",
            "",
            f"| file | {' | '.join(COUNTS.values())} | an epoch | loss |",
            "| --- |" + " ---: |" * (len(COUNTS) + 2),
            *files,
            "",
            "## Curve",
            "",
            "| M tokens | minutes | layers | held-out loss | tokens guessed | pairs told apart |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )

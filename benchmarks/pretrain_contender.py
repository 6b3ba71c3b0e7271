"""The contenders of ``pretraining.py``, as steps for ``contender.py``; ``Job.titles`` is a file of text."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from trainer_step import step_of

if TYPE_CHECKING:
    from job import Job

LENGTH = 128  # tokens of a sequence
MASK_SHARE = 0.15
MOST_LINES = 20_000  # enough for a round


def read_lines(job: Job) -> list[str]:
    from finegrid.pretraining.corpus import read_corpus

    documents = read_corpus([Path(job.titles)]).documents
    return [line for document in documents for line in document][:MOST_LINES]


def group_texts(lines: list[str], tokenizer: Any) -> list[dict[str, list[int]]]:
    """As in transformers' ``run_mlm.py``: all texts end to end, cut into blocks of equal length."""
    ids = [one for row in tokenizer(lines)["input_ids"] for one in row]
    blocks = range(0, len(ids) - LENGTH + 1, LENGTH)
    return [{"input_ids": ids[start : start + LENGTH], "attention_mask": [1] * LENGTH} for start in blocks]


def mlm_trainer(job: Job) -> Callable[[], torch.Tensor]:
    """Hugging Face's Trainer on packed blocks: no padding, fused AdamW, its own masking.

    Its own training step and data loader are driven one step at a time, so that it is timed as ours. It has
    no sentence pairs to learn, which is less work than ours.
    """
    from transformers import (
        AutoTokenizer,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    model = BertForMaskedLM.from_pretrained(
        job.checkpoint, dtype=torch.float32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=job.batch_size // LENGTH,
        learning_rate=1e-4,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        bf16=job.precision == "bf16",
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_drop_last=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=group_texts(read_lines(job), tokenizer),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASK_SHARE),
    )
    return step_of(trainer)


def pretrainer(job: Job) -> Callable[[], int]:
    """A step of ``finegrid pretrain``: masking, packing, clipping and sentence pairs included."""
    from finegrid.encoders.tokenizer import load_tokenizer
    from finegrid.pretraining.command import cut_texts
    from finegrid.pretraining.corpus import Corpus
    from finegrid.pretraining.examples import Vocabulary, tokenise
    from finegrid.pretraining.loop import PretrainLoop
    from finegrid.pretraining.settings import PretrainSettings
    from finegrid.pretraining.shards import Threads
    from finegrid.pretraining.start import load_model

    settings = PretrainSettings(
        corpus=(Path(job.titles),),
        init=job.checkpoint,
        tokens=10**9,
        length=LENGTH,
        batch_tokens=job.batch_size,
        mask_share=MASK_SHARE,
        rate=1e-4,
        precision=job.precision,
    )
    model, folder = load_model(job.checkpoint)
    tokenizer = load_tokenizer(folder)
    lines = read_lines(job)
    documents = tokenise(Corpus([(line,) for line in lines], [0] * len(lines)), tokenizer)
    texts = cut_texts(documents, Vocabulary.of(tokenizer), settings, lambda line: None)
    nowhere = Path(tempfile.mkdtemp()) / "state.safetensors"
    loop = PretrainLoop(settings, texts, model, nowhere, job.threads, lambda line: None)
    threads = Threads(job.threads).__enter__()
    stream = loop.steps()

    def step() -> int:
        before = loop.progress.tokens
        shards, ahead = next(stream)
        loop.step(threads, shards, ahead, done=0.5)
        return loop.progress.tokens - before

    return step

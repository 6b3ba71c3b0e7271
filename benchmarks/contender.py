"""One contender of the speed benchmark, in a process of its own: trains for a while and says how far it got.

Started by ``speed.py`` with its job as JSON. Prints ``ready`` when it has warmed up, waits for a line on
stdin, so that several processes begin together, and prints its figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from job import Job
from pretrain_contender import mlm_trainer, pretrainer
from torch import nn
from torch.nn import functional as F
from trainer_step import step_of

if TYPE_CHECKING:
    from finegrid.training.loaded import LoadedStudy

WARM_STEPS, WARM_SECONDS = 3, 15.0  # whichever comes first, but one step
# What compiles does so at the first shapes that it meets: it is warm once so many steps took about as long.
STEADY, AS_LONG, COMPILING_SECONDS = 8, 4.0, 400.0
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_linear_pointwise", "mkldnn_linear")


# Trains on one batch (for finegrid: every run of the family does). Real tokens, which a GPU may not know yet.
Step = Callable[[], int | torch.Tensor]


@dataclass
class Inside:
    """Seconds that finegrid's steps spent in forward, backward and optimizer."""

    seconds: float = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = call(*arguments)
            self.seconds += time.perf_counter() - start
            return result

        return wrapped


def read_titles(path: str) -> tuple[list[str], list[int]]:
    rows = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]]
    names = sorted({label for _, label in rows})
    return [text for text, _ in rows], [names.index(label) for _, label in rows]


class Origin(nn.Module):
    """The published study's model: mean of first and last layer over all 44 places, padding included."""

    def __init__(self, checkpoint: str, classes: int) -> None:
        super().__init__()
        from transformers import BertModel

        self.bert = BertModel.from_pretrained(checkpoint, dtype=torch.float32)
        self.norm = nn.LayerNorm(self.bert.config.hidden_size)
        self.dropout = nn.Dropout(0.1)
        self.linear = nn.Linear(self.bert.config.hidden_size, classes)

    def forward(self, **inputs: Any) -> Any:
        states = self.bert(**inputs, output_hidden_states=True).hidden_states
        return self.linear(self.dropout(self.norm(((states[1] + states[-1]) / 2).mean(1))))


def freeze_(bert: Any, layers: int) -> None:
    if layers:
        for module in (bert.embeddings, *bert.encoder.layer[:layers]):
            module.requires_grad_(False)


def origin(job: Job) -> Step:
    """The published loop: tokenised per batch, padded to 44, float32."""
    from transformers import AutoTokenizer, get_linear_schedule_with_warmup

    texts, labels = read_titles(job.titles)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    model = Origin(job.checkpoint, max(labels) + 1).to(job.device).train()
    freeze_(model.bert, job.frozen)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 10_000)
    order = shuffled(len(texts), job.batch_size)

    def step() -> torch.Tensor:
        rows = next(order)
        batch = tokenizer(
            [texts[row] for row in rows],
            padding="max_length",
            truncation=True,
            max_length=job.length,
            return_tensors="pt",
        ).to(job.device)
        loss = F.cross_entropy(model(**batch), torch.tensor([labels[row] for row in rows], device=job.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        tokens: torch.Tensor = batch["attention_mask"].sum()
        return tokens

    return step


def shuffled(count: int, batch_size: int) -> Iterator[list[int]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - batch_size + 1, batch_size):
            yield order[start : start + batch_size].tolist()


def trainer(job: Job) -> Step:
    """Hugging Face's Trainer: tokenised beforehand, padded to the longest of a batch, fused AdamW.

    Its own training step and data loader are driven one step at a time, so that it is timed as the others.
    """
    import tempfile

    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    texts, labels = read_titles(job.titles)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    encoded = tokenizer(texts, truncation=True, max_length=job.length)["input_ids"]
    rows = [{"input_ids": ids, "labels": label} for ids, label in zip(encoded, labels, strict=True)]
    model = AutoModelForSequenceClassification.from_pretrained(
        job.checkpoint, num_labels=max(labels) + 1, dtype=torch.float32
    )
    freeze_(model.base_model, job.frozen)
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=job.batch_size,
        learning_rate=5e-5,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        bf16=job.precision == "bf16",
        use_cpu=job.device == "cpu",
        torch_compile=job.compiled,
        train_sampling_strategy="group_by_length" if job.grouped else "random",
        dataloader_num_workers=0 if job.device == "cpu" else 8,  # a GPU would wait for the padding
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        max_grad_norm=0.0,
        dataloader_drop_last=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(
            tokenizer, padding="max_length" if job.padded else "longest", max_length=job.length
        ),
    )
    return step_of(trainer)


def open_study(job: Job) -> LoadedStudy:
    """A study of the job's titles, set up as a worker of ``finegrid run`` sets it up."""
    import tempfile

    from finegrid.study.load import load_study
    from finegrid.study.settings import RunSettings
    from finegrid.training.loaded import LoadedStudy, prepare_process

    folder = Path(tempfile.mkdtemp())
    titles = json.dumps(str(Path(job.titles).resolve()))
    (folder / "study.toml").write_text(
        f"[data]\ntrain = {titles}\n[model]\nname = {json.dumps(job.checkpoint)}\nmax_length = {job.length}\n"
        f"[freeze]\nlayers = {job.frozen}\n[training]\nbatch_size = {job.batch_size}\n[factors]\n"
        '"optimizer.decay_on" = ["all", "matrices"]\n'
    )
    settings = RunSettings.model_validate({"threads": job.threads, "precision": job.precision})
    prepare_process(settings)
    return LoadedStudy(load_study(folder), settings)


def plan(job: Job, texts: int) -> tuple[int, int]:
    """Workers, and runs of a family, that ``finegrid run`` has here for a study of so many titles."""
    from finegrid.audit.costs import make_cost, measure, token_statistics
    from finegrid.planning.capacity import capacity
    from finegrid.planning.runs import PlannedRun
    from finegrid.recipe.identity import ENGINE
    from finegrid.study.audit_file import Audit

    loaded = open_study(job)
    recipe = loaded.study.baseline
    cost = make_cost(loaded, recipe, measure(loaded, recipe))
    audit = Audit(
        engine=ENGINE,
        fingerprints=loaded.fingerprints,
        labels=list(loaded.tokens.labels),
        sizes={"train": texts},
        tokens=token_statistics(loaded.token_facts[0]),
        majority={},
        warnings=[],
        rows=[],
        costs=[cost.model_copy(update={"texts": texts})],
        versions={},
    )
    room = capacity(loaded.settings, audit)
    return room.workers, room.size_of(PlannedRun("any", recipe.moved(), 0, ()))


def finegrid(job: Job, inside: Inside) -> Step:
    """A family of runs, as a worker of ``finegrid run`` trains it."""
    import gc

    from finegrid.training.lockstep import share_prefix
    from finegrid.training.run import Run
    from finegrid.training.train import gather

    loaded = open_study(job)
    recipe = loaded.study.baseline
    runs = gather(Run(loaded, f"run-{index}", recipe, seed=0) for index in range(job.family))
    for run in runs:
        run.outputs = inside.timed(run.outputs)  # type: ignore[method-assign]
        run.loss = inside.timed(run.loss)  # type: ignore[method-assign]
        run.optimizer.update_ = inside.timed(run.optimizer.update_)  # type: ignore[method-assign]
    torch.Tensor.backward = inside.timed(torch.Tensor.backward)  # type: ignore[method-assign]
    gc.freeze()

    def batches() -> Iterator[Any]:
        epoch = 0
        while True:
            yield from loaded.training_batches(recipe, 0, epoch)
            epoch += 1

    stream = enumerate(batches())

    def step() -> int:
        index, batch = next(stream)
        shared, prefix_seconds = share_prefix(runs, batch, index)
        inside.seconds += prefix_seconds
        for run in runs:
            run.step(shared, index % run.total_steps)
        return int(batch.real_tokens) * len(runs)

    return step


def share_of_products(step: Step) -> float:
    """The share of a step's time that is spent in matrix products."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    products = sum(event.self_cpu_time_total for event in events if event.key.split("::")[-1] in PRODUCTS)
    return float(products / total)


def gpu_figures(step: Step, steps: int) -> dict[str, float]:
    """Of some steps, asked for without waiting."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    tokens = [step() for _ in range(steps)]
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    bytes_ = torch.cuda.max_memory_reserved()
    return {"tokens": sum(int(one) for one in tokens), "seconds": seconds, "steps": steps, "bytes": bytes_}


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def warm_compiled(step: Step) -> None:
    start = time.perf_counter()
    last: list[float] = []
    while len(last) < STEADY or max(last) > AS_LONG * min(last):
        began = time.perf_counter()
        step()
        last = [*last[1 - STEADY :], time.perf_counter() - began]
        if time.perf_counter() - start > COMPILING_SECONDS:
            break


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    before = peak_bytes()
    inside = Inside()
    step = (
        finegrid(job, inside)
        if job.contender == "finegrid"
        else {
            "origin": origin,
            "trainer": trainer,
            "mlm-trainer": mlm_trainer,
            "finegrid-pretrain": pretrainer,
        }[job.contender](job)
    )
    if job.compiled:
        warm_compiled(step)
    start = time.perf_counter()
    for _ in range(WARM_STEPS):
        step()
        if time.perf_counter() - start > WARM_SECONDS:
            break
    print("ready", flush=True)
    sys.stdin.readline()
    if job.device == "cuda":
        print(json.dumps(gpu_figures(step, job.steps)), flush=True)
        return
    seconds: list[float] = []
    tokens, inside.seconds = 0, 0.0
    processor = time.process_time()
    while sum(seconds) < job.seconds or len(seconds) < job.steps:
        start = time.perf_counter()
        tokens += int(step())
        seconds.append(time.perf_counter() - start)
    processor = time.process_time() - processor
    figures = {
        "tokens": tokens,
        "seconds": sum(seconds),
        "steps": len(seconds),
        "processor": processor,
        "bytes": peak_bytes() - before,
        "outside": 1 - inside.seconds / sum(seconds),
        "products": share_of_products(step),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()

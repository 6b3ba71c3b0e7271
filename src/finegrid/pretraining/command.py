"""`finegrid pretrain`, from files to a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import InputError, input_error
from finegrid.model.device import check_machine, compute_repeatably
from finegrid.next_words import next_line
from finegrid.pretraining.corpus import FileCount, read_corpus
from finegrid.pretraining.examples import SHORTEST, Documents, Vocabulary, cut_examples, hold_out, tokenise
from finegrid.pretraining.folder import PretrainFolder
from finegrid.pretraining.loop import SAVE_SECONDS, PretrainLoop, PretrainTexts
from finegrid.pretraining.settings import PretrainSettings
from finegrid.pretraining.start import draw_model, load_model, read_shape
from finegrid.pretraining.vocabulary import check_specials, train_vocabulary
from finegrid.pretraining.words import telling
from finegrid.spelling import Telling
from finegrid.streams import Streams
from finegrid.words import say_wrote


def pretrain(
    settings: PretrainSettings,
    out: Path,
    threads: int,
    tell: Callable[[Telling], None],
    command: str,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Make a checkpoint, or go on making it.

    Args:
        settings: what to learn from, and how.
        out: the folder; at the end a Hugging Face folder.
        threads: cores to use.
        tell: is given lines of progress, for whichever language.
        command: what was typed; it goes into the model card.
        save_seconds: between two saves of the state.

    Raises:
        InputError: settings, files or a folder that cannot be used.
    """
    settings.check()
    check_machine(settings.device, settings.precision)
    if settings.device == "cuda":
        compute_repeatably()
    folder = PretrainFolder(out)
    with folder.lock():
        if folder.is_finished(settings):
            tell(telling("finished", out=out))
            return
        model, init = make_starting_model(settings)
        check_length(settings, model.config.max_position_embeddings)
        tokenizer = init or folder.tokenizer
        try:
            documents, files = folder.load_documents() or read_documents(settings, folder, model, init, tell)
            texts = cut_texts(documents, Vocabulary.of(load_tokenizer(tokenizer)), settings, tell)
        except InputError:
            folder.forget()
            raise
        loop = PretrainLoop(settings, texts, model, folder.state, threads, tell, save_seconds)
        loop.run()
        folder.finish(loop.model.model, tokenizer, settings, loop.progress, files, command)
    tell(lambda lang: [say_wrote(out, lang)])
    tell(lambda lang: [next_line("init", out, lang)])


def make_starting_model(settings: PretrainSettings) -> tuple[Any, Path | None]:
    """The model of the first stage, and the folder of its tokeniser where it has one."""
    if settings.init is not None:
        model, folder = load_model(settings.init)
        check_specials(load_tokenizer(folder), folder)
        return model, folder
    assert settings.config is not None  # settings are checked
    config = read_shape(settings.config)
    if settings.grow:
        if settings.grow[-1] != config.num_hidden_layers:
            what = f"ends at {settings.grow[-1]} layers, but the config has {config.num_hidden_layers}."
            raise input_error("command line", "--grow", what)
        config.num_hidden_layers = settings.grow[0]
    return draw_model(config, settings.seed), None


def read_documents(
    settings: PretrainSettings,
    folder: PretrainFolder,
    model: Any,
    init: Path | None,
    tell: Callable[[Telling], None],
) -> tuple[Documents, list[FileCount]]:
    """Read and tokenise the corpus, and keep it in the folder. Trains the vocabulary first if there is none.

    Raises:
        InputError: files that cannot be used.
    """
    corpus = read_corpus(settings.corpus, settings.field, settings.without)
    for file in corpus.files:
        tell(file.describe)
    folder.begin(settings)
    if init is None:
        tell(telling("vocabulary", pieces=model.config.vocab_size))
        train_vocabulary(corpus, model.config.vocab_size, settings.length, folder.tokenizer)
    documents = tokenise(corpus, load_tokenizer(init or folder.tokenizer))
    if short := sum(file.short for file in corpus.files):
        tell(telling("short", count=short, least=SHORTEST))
    folder.save_documents(documents, corpus.files)
    return documents, corpus.files


def check_length(settings: PretrainSettings, positions: int) -> None:
    if settings.length > positions:
        what = f"{settings.length}, but the encoder has {positions} positions."
        raise input_error("command line", "--length", what)


def cut_texts(
    documents: Documents, vocabulary: Vocabulary, settings: PretrainSettings, tell: Callable[[Telling], None]
) -> PretrainTexts:
    """Examples to learn from and to judge by.

    Raises:
        InputError: too little text for both.
    """
    held_out = hold_out(documents, settings.held_out, Streams(settings.seed))
    if len(documents) < 2 or held_out.all():
        what = f"{len(documents)} texts of at least {SHORTEST} tokens. Give more text."
        raise input_error("corpus", "--corpus", what)
    longest = settings.length - 3  # [CLS] first [SEP] second [SEP]
    train, judge = (cut_examples(documents, rows, longest, vocabulary) for rows in (~held_out, held_out))
    tokens = len(documents.tokens)
    counts = {"train": len(train), "held_out": len(judge), "unknown": documents.unknown / tokens}
    tell(telling("texts", millions=tokens / 1e6, **counts))
    return PretrainTexts(train, judge, vocabulary)

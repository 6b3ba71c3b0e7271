"""Fewer training texts, or more of them: a share of the study's own, and a second file.

Paper   Share: none; it is one point of a learning curve. More texts, such as back-translations of the
        training texts: 2010.01764, for pre-trained transformers.
Idea    What would half of the labels have given? Are texts that were made elsewhere worth their place?
Off     ``share=1.0, extra=""``.
Exactly ``share`` trains on the first ceil(share * n) of the n training texts of every class, in the order
        of their file: your order decides, no class is lost, also where the file is sorted by class, and
        smaller shares are part of larger ones, whatever the seed. ``extra`` names a file, relative to the
        study's folder, that is read as the study's own files are (same columns). Its texts come after those
        of the share, and an epoch passes over all of them. Labels that the study does not know are refused,
        and so are texts and groups that are in dev or test. What the file holds is part of a run's id.
Differs Code that augments on the fly draws other texts in every epoch; here they are written down before.
        An epoch is longer or shorter than without: with ``training.epochs`` as it is, the number of steps
        changes with the number of texts.
Note    An extra text that was made of a training text outside the share brings that text back. Scores of
        the majority class stay those of the study's own training texts. Seeds that split a pool anew
        (``design.resample``) have training texts of their own: refused with both.
Reduces The loss stays the mean over a batch's texts: an extra text counts as much as any other.
Evidence D for back-translations and other augmentation of pre-trained encoders (2010.01764: no consistent
        gain). A for more labelled texts.
Path    Runs with other texts share no family; within a family all fast paths stay open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Part, UsualLevels

# Other texts are other batches and another number of steps; and other values before the first step, where
# these are made from the texts.
OF_TEXTS: Claim = {"data": "all", "rates": "all", "initial": "all"}


@dataclass(frozen=True, config=STRICT)
class Texts(Part):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "share of the training texts",
            ("share",),
            "texts",
            "A",
            step="1.0; an epoch in proportion to texts",
            synonyms=("learning curve", "subset", "few-shot"),
            chinese=("训练文本的份额", "数据量", "学习曲线", "小样本", "少样本", "训练集大小"),
        ),
        Listing(
            "second training file",
            ("extra",),
            "texts",
            "D",
            step="1.0; an epoch in proportion to texts",
            synonyms=("back-translation", "data augmentation", "extra data"),
            chinese=("第二个训练文件", "数据增强", "回译", "额外数据", "文本增强"),
        ),
    )
    of_one_set: ClassVar[Mapping[str, str]] = {
        "share": "takes the first texts of one training set",
        "extra": "adds texts that a split may hold in dev or test",
    }
    usual: ClassVar[Mapping[str, UsualLevels]] = {"share": (1.0, 0.5)}
    touches: ClassVar[Mapping[str, Claim]] = {"share": OF_TEXTS, "extra": OF_TEXTS}
    files: ClassVar[tuple[str, ...]] = ("extra",)

    share: Annotated[float, Field(gt=0, le=1, description="of the training texts, from the first on")] = 1.0
    extra: Annotated[str, Field(description="file of more training texts; empty: none")] = ""

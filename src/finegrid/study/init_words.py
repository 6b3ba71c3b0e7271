"""What `finegrid init` says of a study that it has written, in English and Chinese."""

from __future__ import annotations

from finegrid.encoders.size import measure_size
from finegrid.in_chinese import translate
from finegrid.spelling import Lang, count_noun, format_level
from finegrid.study.study import Study
from finegrid.words import SHARED

ENGLISH = {
    "model": "model     {name}: {size}",
    "proposed": "settings  {settings} (proposed: study.toml has the reasons)",
    "as asked": "settings  {settings} (as asked: study.toml has the reasons)",
    "machine": "machine   {device}, {precision}",
    "varied": "varied    {factors}",
    "levels": "{factor} ({levels})",
    "design": "design    {kind}, {rows}, {seeds}",
    "wrote": "wrote {file}; look at it, and change what you like",
}
CHINESE = {
    "model": "模型      {name}：{size}",
    "proposed": "设置      {settings}（由 finegrid 建议；理由见 study.toml）",
    "as asked": "设置      {settings}（按你的要求；理由见 study.toml）",
    "machine": "机器      {device}，{precision}",
    "varied": "因素      {factors}",
    "levels": "{factor}（{levels}）",
    "design": "设计      {kind}，{rows}，{seeds}",
    "wrote": "已写入 {file}；请看一看，并按需要修改",
}
PHRASES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
TOLD_SETTINGS = ("model.max_length", "training.batch_size", "training.epochs", "optimizer.rate")


def say(key: str, lang: Lang, **fields: object) -> str:
    return PHRASES[lang][key].format(**fields)


def describe_settings(study: Study, proposed: bool, lang: Lang = "en") -> list[str]:
    """What is trained with, and what is varied.

    Args:
        study: as it was written.
        proposed: whether finegrid has proposed some of its settings.
        lang: en or zh.
    """
    levels, design, comma = study.baseline.levels(), study.head.design, SHARED[lang]["list comma"]
    told = comma.join(f"{name.partition('.')[2]} {format_level(levels[name])}" for name in TOLD_SETTINGS)
    varied = comma.join(
        say("levels", lang, factor=name, levels=" | ".join(map(format_level, several)))
        for name, several in study.factors.items()
    )
    rows, seeds = len(study.rows), len(design.numbers)
    counts = {"rows": count_noun(rows, "row"), "seeds": count_noun(seeds, "seed")}
    if lang == "zh":
        counts = {"rows": f"{rows:,} 行", "seeds": f"{seeds:,} 个随机种子"}
    folder, run = study.checkpoint.folder, study.head.run
    return [
        say("model", lang, name=folder.name, size=translate(measure_size(folder).name, lang)),
        say("proposed" if proposed else "as asked", lang, settings=told),
        say("machine", lang, device=run.device, precision=run.precision),
        say("varied", lang, factors=varied or comma.join(study.free_factors)),
        say("design", lang, kind=design.kind, **counts),
    ]

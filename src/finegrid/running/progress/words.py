"""What `finegrid run` says while it works, in English and Chinese."""

from __future__ import annotations

from finegrid.in_chinese import translate
from finegrid.planning.words import count
from finegrid.spelling import Lang, Telling
from finegrid.words import SHARED

ENGLISH = {
    # before it trains
    "reading": "reading data and checkpoint",
    "auditing": "auditing: which levels do something, and what a step costs",
    "kept": "kept from earlier studies on this machine: {costs} of {all_costs} costs, {proofs} of "
    "{all_proofs} proofs. {variable}={off} makes all anew",
    "warning": "warning: {text}",
    "files changed": "changed since the last audit: {names}. Runs that read it are run anew.",
    "study changed": "changed since the last run: {names}. Finished runs stay in runs.jsonl, but belong to "
    "the old study; everything is run anew.",
    "stacked otherwise": "{count} finished runs were stacked with others than planned now (the design, "
    "--memory or the device has changed): their last digits may differ",
    "unlike the ledger": "in runs.jsonl this run has {before:.4f} on dev, here it has {now:.4f}: another "
    "machine, device, number of threads, stack or version of a library",
    # a cluster
    "lost": "worker {worker} is lost ({why}). What it was at begins again elsewhere",
    "unsaved": "{node} cannot keep states in --storage ({why}). A family that loses its node starts again",
    "offer": "the cluster has {nodes} with room for {workers}",
    "no node": "the cluster has no node for a worker yet",
    "no room": "waiting for room: no node of the cluster is free for a worker ({asked})",
    "turned away": "node {node} is left out: {why}",
    "left out": "{place} trains nothing more: {why}. The others go on. See {log}",
    "unlike": "it is a {gpu}, and the first one is a {first}: last digits would differ. --mix uses both",
    "gpu place": "GPU {name}",
    "worker place": "worker {name}",
    # progress.json
    "unwritten": "{file} cannot be written ({reason}). The study goes on, but `status` and `watch` do not "
    "see that it is at work",
    "distinct": "{recipes} are {runs} distinct runs; {left} to train",
    # what has a fingerprint
    "data": "data",
    "tokenizer": "tokenizer",
    "model": "model",
    # a line for a run, or an epoch
    "run": "run {ended} of {runs}: {which}, seed {seed}: {outcome}{left}",
    "epoch": "  epoch {epoch} of {epochs}: {rows}, seed {seed}: {scores}{left}",
    "named": "{name} ({rows})",
    "baseline": "baseline",
    "row": "row {rows}",
    "rows": "rows {rows}",
    "on test": "{score} {value:.4f} on test",
    "on dev": "{score} {value:.4f} on dev",
    "loss": "loss {loss:.4f}, ",
    "ended badly": "{status}: {reason}",
    "time left": " ({time} left)",
    "over": "{ended} of {runs} runs, {time}",
    # the picture
    "working": "working for {time}",
    "counts": "{ended} of {runs} runs",
    "gone": "{time} gone",
    "left": "about {time} left",
    "head worker": "worker",
    "head runs": "runs",
    "head rows": "rows",
    "head seed": "seed",
    "head epoch": "epoch",
    "head loss": "loss",
    "head dev": "dev",
    "at epoch": "{epoch} of {epochs}",
    "starting": "starting",
    "more": "and {count} more",
    "best": "best on dev so far: {score}",
    "best of": "best on dev so far: {score}, {which}",
    "of seed": "{rows}seed {seed}",
    "rows and": "{rows}, ",
    "luck": "  the highest of {finished} runs is partly luck: not the verdict",
    "only one": "  the only run so far: not the verdict",
    "no verdict": "  {which}; not the verdict",
    "bad": "{count} {status}",
    "one warning": "{count} warning",
    "warnings": "{count} warnings",
    "see above": "{trouble}: see above",
}
CHINESE = {
    "reading": "正在读取数据和检查点",
    "auditing": "正在检查：哪些水平起作用，每一步需要多久",
    "kept": "沿用本机此前研究的结果：耗时 {costs}/{all_costs} 项，验证 {proofs}/{all_proofs} 项。"
    "设置 {variable}={off} 可全部重做",
    "warning": "警告：{text}",
    "files changed": "上次检查之后有改动：{names}。读取它们的运行会重新训练。",
    "study changed": "上次运行之后有改动：{names}。已完成的运行留在 runs.jsonl 中，但属于改动前的研究；全部重"
    "新训练。",
    "stacked otherwise": "有 {count} 次已完成的运行当时与另一些运行叠在一起训练，与现在的安排不同（设"
    "计、--memory 或设备变了）：末几位数字可能不同",
    "unlike the ledger": "runs.jsonl 中这次运行的验证集得分是 {before:.4f}，这里是 {now:.4f}：机器、设备、线"
    "程数、叠放方式或某个库的版本不同",
    "lost": "工作进程 {worker} 已丢失（{why}）。它正在做的会在别处重新开始",
    "unsaved": "{node} 无法把状态保存到 --storage（{why}）。失去节点的一组运行会重新开始",
    "offer": "集群有 {nodes}，可容纳 {workers}",
    "no node": "集群目前没有可以容纳工作进程的节点",
    "no room": "正在等待空位：集群中没有节点能容纳一个工作进程（{asked}）",
    "turned away": "节点 {node} 不参与：{why}",
    "left out": "{place} 不再参与训练：{why}。其余继续。详见 {log}",
    "unlike": "它是 {gpu}，而第一块是 {first}：末几位数字会不同。--mix 可同时使用两者",
    "gpu place": "显卡 {name}",
    "worker place": "进程 {name}",
    "unwritten": "无法写入 {file}（{reason}）。研究继续进行，但 `status` 和 `watch` 看不到它正在运行",
    "distinct": "{recipes}对应 {runs} 次不同的运行；{left} 次待训练",
    "data": "数据",
    "tokenizer": "分词器",
    "model": "模型",
    "run": "第 {ended}/{runs} 次运行：{which}，种子 {seed}：{outcome}{left}",
    "epoch": "  第 {epoch}/{epochs} 轮：{rows}，种子 {seed}：{scores}{left}",
    "named": "{name}（{rows}）",
    "baseline": "基线",
    "row": "第 {rows} 行",
    "rows": "第 {rows} 行",
    "on test": "测试集 {score} {value:.4f}",
    "on dev": "验证集 {score} {value:.4f}",
    "loss": "损失 {loss:.4f}，",
    "ended badly": "{status}：{reason}",
    "time left": "（还需 {time}）",
    "over": "完成 {ended}/{runs} 次运行，用时 {time}",
    "working": "已用 {time}",
    "counts": "{ended}/{runs} 次运行",
    "gone": "已用 {time}",
    "left": "约还需 {time}",
    "head worker": "进程",
    "head runs": "运行",
    "head rows": "行",
    "head seed": "种子",
    "head epoch": "轮",
    "head loss": "损失",
    "head dev": "验证集",
    "at epoch": "{epoch}/{epochs}",
    "starting": "启动中",
    "more": "还有 {count} 组",
    "best": "目前验证集最高：{score}",
    "best of": "目前验证集最高：{score}，{which}",
    "of seed": "{rows}种子 {seed}",
    "rows and": "{rows}，",
    "luck": "  {finished} 次运行中的最高分含有运气成分：这不是结论",
    "only one": "  目前只有这一次运行：这不是结论",
    "no verdict": "  {which}；这不是结论",
    "bad": "{status} {count} 次",
    "one warning": "{count} 条警告",
    "warnings": "{count} 条警告",
    "see above": "{trouble}：见上文",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
FINGERPRINTED = ("data", "tokenizer", "model")


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)


def telling(key: str, **fields: object) -> Telling:
    """One line, in whichever language it is asked for."""
    return lambda lang: [say(key, lang, **fields)]


def warning(text: str) -> Telling:
    """A recorded warning, such as the audit has."""
    return lambda lang: [say("warning", lang, text=translate(text, lang))]


def warning_of(key: str, **fields: object) -> Telling:
    return lambda lang: [say("warning", lang, text=say(key, lang, **fields))]


def warning_why(key: str, why: str, **fields: object) -> Telling:
    """A warning whose reason is a recorded sentence."""
    return lambda lang: [
        say("warning", lang, text=say(key, lang, why=translate(why, lang), **fields)),
    ]


def tell_offer(nodes: int, places: int) -> Telling:
    """What a cluster has to train on."""
    if not nodes:
        return telling("no node")
    return lambda lang: [
        say("offer", lang, nodes=count(nodes, "node", lang), workers=count(places, "worker", lang))
    ]


def tell_left_out(place: str, name: str, log: str, why: str, **fields: str) -> Telling:
    """That one of several workers, or GPUs, is done without.

    Args:
        place: a key of its kind.
        name: of it.
        log: of its worker.
        why: in English, or a key.
        fields: of that key.
    """

    def tell(lang: Lang) -> list[str]:
        reason = say(why, lang, **fields) if fields else translate(why, lang)
        text = say("left out", lang, place=say(place, lang, name=name), why=reason.rstrip("."), log=log)
        return [say("warning", lang, text=text)]

    return tell


def warning_in(telling: Telling) -> Telling:
    """A warning that knows its own languages."""
    return lambda lang: [say("warning", lang, text=text) for text in telling(lang)]


def name_changed(names: list[str], lang: Lang) -> str:
    """``data, tokenizer``; files of levels as they are called."""
    return SHARED[lang]["list comma"].join(
        say(name, lang) if name in FINGERPRINTED else name for name in names
    )

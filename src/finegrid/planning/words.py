"""What `finegrid plan` and `finegrid status` say, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang, count_noun

ENGLISH = {
    "study": "{folder}: {recipes} x {seeds}, score {score}",
    "not probed": "not yet probed: inert levels, time and memory are not known. Try plan --probe.",
    "runs": "{rows}{seeds} are {runs}, {left} of them to train",
    "of seeds": " x {seeds}",
    "some": "{left:,}",
    "all": "all",
    "none": "none",
    "free": "(free: all levels are scored in the same runs)",
    "the baseline": "the baseline",
    "layers unknown": "what levels amount to layer by layer is left out: the checkpoint is not here, and "
    "audit.json does not say what it is like",
    "data": "data: {sizes} texts; those of train have {tokens:.1f} tokens on average",
    "interface": "encoder: {family} runs over packed texts by transformers' modules and finegrid's attention",
    "padded": "encoder: {family} runs padded, which costs {share:.2f} times the tokens of the texts",
    "may be padded": "encoder: {family} runs padded; plan --probe says what padding costs",
    "inert": "inert: {factor} in {rows}: {reason}",
    "predicted": "predicted: {work} of work, {left} left with {workers} of {threads}",
    "predicted there": "predicted: {work} of work, {left} left on {nodes} of the cluster with up to "
    "{workers} of {threads}",
    "no node": "predicted: {work} of work; no node of the cluster can hold a worker yet",
    "memory": "memory: up to {gib:.1f} GiB per worker",
    "too large": "that is more than the {gib:.1f} GiB that there are for it: {less}",
    "recomputed": "run.recompute = auto: layers are computed twice in {some} of {runs}: memory is short",
    "measured": "both measured with {settings}; plan --probe measures what is asked for",
    "phase 2": "phase 2 is not started: `finegrid run` goes on with it.",
    "not started": "not started: `finegrid run` audits the study and trains it.",
    "states": "{runs}: {counts}",
    "of state": "{count} {state}",
    "logs": "logs of the workers, a line an epoch: {folder}",
    "degenerate": "degenerate, no better than the majority class: {runs}",
    "saved": "{states} of {runs} not ended ({size}): the next `finegrid run` or `fit` of these runs goes on "
    "from there",
    "drafts": "{files} of a process that was killed ({size}): the next `finegrid run` removes them",
    "unfit": "saved states that nothing could go on from ({size}), which you may delete: {files}",
    "left": "about {time} left",
    "getting ready": "at work now: getting ready",
    "at work": "at work now: {ended} of {runs} since this start",
    "by": " (process {process} on {host})",
    "lacking": "{count} of those left have finished, but were not scored at {keys}: they are trained again "
    "to add it. Until then verdicts on other factors use their records.",
    "time over": "no run that is left would end in time: {left} of {runs} left{about}",
    "about": ", about {time}",
    "go on": "next: finegrid run {folder}{rows}",
    "baseline": "baseline: {levels}",
    "bad run": "{status}: {rows}, seed {seed}: {reason}",
    "failures": "{bad} of {runs} runs failed or diverged; finegrid status {folder}",
    # the two phases of a screen
    "phase 1": "screen, phase 1: {rows} rows, then a decision on dev",
    "if every": "  phase 2, if every factor goes on: {added}",
    "no phase 2": "screen, decided: no factor goes on, so there is no phase 2",
    "phase 2 of": "screen, phase 2: every combination of {survivors}: {added}",
    "added": "{rows} more rows, {runs} runs{work}",
    "work": ", {time} of work",
    "decided on dev": "decided on dev from {rows} rows x {seeds}, margin {margin:g} points:",
    "fate": "  {factor} = {level}: {fate}; {effect}, {decision}",
    "goes on": "goes on",
    "dropped": "dropped, stays at its first level",
    "not estimable": "not estimable",
}
CHINESE = {
    "study": "{folder}：{recipes} × {seeds}，得分 {score}",
    "not probed": "尚未探测：不起作用的水平、耗时和内存都还不知道。请试 plan --probe。",
    "runs": "{rows}{seeds}对应 {runs}，{left}",
    "of seeds": " × {seeds}",
    "some": "其中 {left:,} 次待训练",
    "all": "全部待训练",
    "none": "没有待训练的",
    "free": "（免费：在同一批运行中按所有水平评分）",
    "the baseline": "基线",
    "layers unknown": "略去各层的具体取值：检查点不在本机，audit.json 也没有记录它的结构",
    "data": "数据：{sizes} 条文本；训练集平均 {tokens:.1f} 个词元",
    "interface": "编码器：{family} 按不填充的批次计算，用它自带的模块和我们的注意力",
    "padded": "编码器：{family} 按填充后的批次计算，词元数是文本本身的 {share:.2f} 倍",
    "may be padded": "编码器：{family} 按填充后的批次计算；plan --probe 会给出填充的代价",
    "inert": "不起作用：{factor}，在 {rows}中：{reason}",
    "predicted": "预计：单进程共需 {work}；用 {workers}（各 {threads}）还需 {left}",
    "predicted there": "预计：单进程共需 {work}；在集群的 {nodes}上最多用 {workers}（各 {threads}），还需 "
    "{left}",
    "no node": "预计：单进程共需 {work}；集群目前没有可以容纳工作进程的节点",
    "memory": "内存：每个进程最多 {gib:.1f} GiB",
    "too large": "这超过了可用的 {gib:.1f} GiB：{less}",
    "recomputed": "run.recompute = auto：因内存不足，{runs}中有 {some} 次把各层计算两遍",
    "measured": "两者是在 {settings} 下测得的；plan --probe 会按现在的设置测量",
    "phase 2": "第二阶段尚未开始：`finegrid run` 会继续。",
    "not started": "尚未开始：`finegrid run` 会先检查再训练。",
    "states": "{runs}：{counts}",
    "of state": "{state} {count} 次",
    "logs": "各进程的日志，每轮一行：{folder}",
    "degenerate": "没有学会，不比多数类基线更好：{runs}",
    "saved": "{states}，涉及 {runs}未结束的训练（{size}）：下次执行 `finegrid run` 或 `fit` 时从那里继续",
    "drafts": "{files}，由被终止的进程留下（{size}）：下次 `finegrid run` 会删除",
    "unfit": "无法继续使用的已保存状态（{size}），可以删除：{files}",
    "left": "约还需 {time}",
    "getting ready": "正在运行：准备中",
    "at work": "正在运行：本次启动以来完成 {ended} 次，共 {runs}",
    "by": "（{host} 上的进程 {process}）",
    "lacking": "待训练的运行中有 {count} 次已经完成，但没有按 {keys} 评分：会为此重新训练。在此之前，其他因素"
    "的结论仍使用它们的记录。",
    "time over": "剩余时间不够再完成一次运行：{runs}中还剩 {left} 次{about}",
    "about": "，约需 {time}",
    "go on": "下一步：finegrid run {folder}{rows}",
    "baseline": "基线：{levels}",
    "bad run": "{status}：{rows}，随机种子 {seed}：{reason}",
    "failures": "{runs} 次运行中有 {bad} 次失败或发散；finegrid status {folder}",
    "phase 1": "筛选，第一阶段：{rows} 行，然后依验证集决定取舍",
    "if every": "  第二阶段，若所有因素都保留：{added}",
    "no phase 2": "筛选，已决定：没有保留任何因素，因此没有第二阶段",
    "phase 2 of": "筛选，第二阶段：{survivors} 的所有组合：{added}",
    "added": "再加 {rows} 行、{runs} 次运行{work}",
    "work": "，共需 {time}",
    "decided on dev": "依验证集决定，根据 {rows} 行 × {seeds}，界限 {margin:g} 个点：",
    "fate": "  {factor} = {level}：{fate}；{effect}，{decision}",
    "goes on": "保留",
    "dropped": "淘汰，取第一个水平",
    "not estimable": "无法估计",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
MEASURES = {  # what Chinese counts things with
    "recipe": "个配方",
    "seed": "个随机种子",
    "row": "行",
    "run": "次运行",
    "distinct run": "次不同的运行",
    "finished run": "次已完成的运行",
    "distinct recipe": "个不同的配方",
    "worker": "个进程",
    "node": "个节点",
    "thread": "个线程",
    "saved state": "份已保存的状态",
    "half written file": "个未写完的文件",
}


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)


def count(number: int, noun: str, lang: Lang) -> str:
    """``3 runs``, ``3 次运行``."""
    return count_noun(number, noun) if lang == "en" else f"{number:,} {MEASURES[noun]}"


def name_rows(rows: tuple[int, ...], lang: Lang) -> str:
    """``row 3``, ``rows 1, 2``; ``第 1、2 行``."""
    if lang == "zh":
        return f"第 {'、'.join(map(str, rows))} 行"
    return f"row{'s' * (len(rows) != 1)} {', '.join(map(str, rows))}"

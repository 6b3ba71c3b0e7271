"""The phrases in which prices and budgets are told, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    # the price
    "price": "price     {runs}, {took}",
    "decides": "decides   {decided}",
    "a tenth": "a tenth   {time}: {tenth}",
    "plan decides": "decides: {decided}",
    "time not known": "time not known before a probe",
    "roughly": "roughly {time} on this machine with {workers}",
    "predicted": "predicted {time} on this machine with {workers}",
    "free": "what free factors are worth: all their levels are scored in these runs",
    "one seed": "no size of effect can be promised before two seeds have run",
    "decided": "effects of {points:.1f} points or more, in {power:.0f} % of studies{guess}; {clarity}",
    "guess": " (noise assumed; two finished seeds replace that)",
    "without": ", without {factors}, which does nothing",
    "tenth not promised": "{design}; no size of effect can be promised",
    "tenth shows": "{design}: effects of {points:.1f} points or more",
    "tenth too little": "nothing fits; the least, {design}, takes {time}",
    "less": "this takes more than an hour; Ctrl-C stops it at any time, and running again resumes. For less: "
    "finegrid plan {folder} --budget 1h chooses design and seeds; finegrid run {folder} --for 1h stops in "
    "time",
    "fewer seeds": "; finegrid run {folder} --seeds {seeds}",
    # a design
    "design": "{name} ({recipes} x {seeds})",
    "full": "full design",
    "one at a time": "one at a time",
    "fraction": "fraction of resolution {resolution}",
    "not shown": "does not show {factors}",
    "others first": "each with all other factors at their first level, interactions not measured",
    "some aliased": "{some} of {all} main effects measured together with interactions",
    "main clear": "main effects clear, but some interactions of two measured together",
    "clear": "main effects and interactions of two clear of each other",
}
CHINESE = {
    "price": "费用      {runs}，{took}",
    "decides": "能判断    {decided}",
    "a tenth": "十分之一  {time}：{tenth}",
    "plan decides": "能判断：{decided}",
    "time not known": "探测之前不知道需要多久",
    "roughly": "在本机上用 {workers}大约需要 {time}",
    "predicted": "在本机上用 {workers}预计需要 {time}",
    "free": "免费因子的价值：在这些运行中按其所有水平评分",
    "one seed": "至少运行两个随机种子之后，才能说出可检出多大的效应",
    "decided": "{points:.1f} 个点及以上的效应，{power:.0f} % 的研究能检出{guess}；{clarity}",
    "guess": "（噪声为假定值；完成两个随机种子后改用实测值）",
    "without": "，不含不起作用的 {factors}",
    "tenth not promised": "{design}；无法保证能检出多大的效应",
    "tenth shows": "{design}：能检出 {points:.1f} 个点及以上的效应",
    "tenth too little": "什么都放不下；最小的是{design}，需要 {time}",
    "less": "这需要一个多小时；可随时用 Ctrl-C 停止，再次运行即接着训练。想少花时间：finegrid plan {folder} "
    "--budget 1h 会选择设计和随机种子数；finegrid run {folder} --for 1h 会按时停止",
    "fewer seeds": "；finegrid run {folder} --seeds {seeds}",
    "design": "{name}（{recipes} × {seeds}）",
    "full": "完整设计",
    "one at a time": "逐个改变",
    "fraction": "分辨度 {resolution} 的部分设计",
    "not shown": "看不出 {factors} 的效应",
    "others first": "测量每个因子时其余因子都处于第一水平，不测量交互作用",
    "some aliased": "{all} 个主效应中有 {some} 个与交互作用混杂",
    "main clear": "主效应没有混杂，但有些两因子交互作用相互混杂",
    "clear": "主效应与两因子交互作用互不混杂",
}
PHRASES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return PHRASES[lang][key].format(**fields)

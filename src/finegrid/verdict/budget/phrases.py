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
    "predicted there": "predicted {time} on {nodes} of the cluster with up to {workers}",
    "no node": "{time} with one worker; no node of the cluster can hold one yet",
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
    # a budget
    "budget": "budget {time} with {workers}: {option}",
    "nothing fits": "nothing fits",
    "option": "{name} ({recipes}) x {seeds}",
    "option done": "{option}, all done already",
    "option left": "{option}, predicted {time} for {runs} not done yet",
    "points": "effects of {points:.2f} points or more",
    "no points": "no size of effect can be promised",
    "no points because": "{points}: {why}",
    "nothing in its rows": "{factors} does nothing in its rows",
    "not worked out": "some main effect cannot be worked out from its rows",
    "no noise": "with one seed, nothing is left over that shows the noise of a run",
    "detects": "detects main effects of {points:.2f} points or more in {power:.0f} % of studies; {clarity}",
    "floor": "more seeds alone would not get below {floor:.2f} points: the {texts:,} test texts",
    "instead": "instead: {option}: {points}; {clarity}",
    "not compared": "not compared: {designs}: not all rows were probed (finegrid probes designs of at most "
    "{most} rows)",
    "to do so": "to do so: --apply writes [design] {lines} into study.toml; then {command}",
    "to do so without": "to do so: --apply takes {factors} out of the factors and writes [design] {lines} "
    "into study.toml; then {command}",
    "measured": "variances: from {runs} with {seeds} of this ledger: a run's own luck {luck:.2f} points",
    "assumed": "variances: assumed, no two seeds have finished: {wrong:.1f} % of texts wrong ({source}); two "
    "seeds of a recipe differ in {seeds:.1f} % of texts, two recipes in {recipes:.1f} %; a run's own luck "
    "{own:.2f} points beyond that, {luck:.2f} in all. Two finished seeds replace this",
    "on dev": "as in {runs} on dev",
    "a guess": "a guess",
    "warning": "warning: {warning}",
    "smallest": "the smallest design, {name} ({recipes}) x 1 seed, would take {time}.",
    "all that fits": "one seed is all that fits: it shows a run's luck only through what should be no "
    "effect. Two seeds of this design would take {time}.",
    "one seed fits": "one seed: it shows a run's luck only through what should be no effect. Two seeds of "
    "this design would take {time}.",
}
CHINESE = {
    "price": "费用      {runs}，{took}",
    "decides": "能判断    {decided}",
    "a tenth": "一成费用  {time}：{tenth}",
    "plan decides": "能判断：{decided}",
    "time not known": "探测之前不知道需要多久",
    "roughly": "在本机上用 {workers}大约需要 {time}",
    "predicted": "在本机上用 {workers}预计需要 {time}",
    "predicted there": "在集群的 {nodes}上最多用 {workers}，预计需要 {time}",
    "no node": "用一个进程预计需要 {time}；集群目前没有可以容纳进程的节点",
    "free": "免费因素的价值：在这些运行中按其所有水平评分",
    "one seed": "至少运行两个随机种子之后，才能说出可检出多大的效应",
    "decided": "能检出 {points:.1f} 个点及以上的效应（检出概率 {power:.0f} %）{guess}；{clarity}",
    "guess": "（噪声为假定值；完成两个随机种子后改用实测值）",
    "without": "，不含不起作用的 {factors}",
    "tenth not promised": "{design}；无法保证能检出多大的效应",
    "tenth shows": "{design}：能检出 {points:.1f} 个点及以上的效应",
    "tenth too little": "不够做任何设计；最省的是{design}，需要 {time}",
    "less": "这需要一个多小时；可随时用 Ctrl-C 停止，再次运行即接着训练。想少花时间：finegrid plan {folder} "
    "--budget 1h 会选择设计和随机种子数；finegrid run {folder} --for 1h 会按时停止",
    "fewer seeds": "；finegrid run {folder} --seeds {seeds}",
    "design": "{name}（{recipes} × {seeds}）",
    "full": "完整设计",
    "one at a time": "逐个改变",
    "fraction": "分辨度 {resolution} 的部分设计",
    "not shown": "看不出 {factors} 的效应",
    "others first": "测量每个因素时其余因素都处于第一个水平，不测量交互作用",
    "some aliased": "{all} 个主效应中有 {some} 个与交互作用混杂",
    "main clear": "主效应没有混杂，但有些两因素交互作用相互混杂",
    "clear": "主效应与两因素交互作用互不混杂",
    "budget": "预算 {time}，用 {workers}：{option}",
    "nothing fits": "不够做任何设计",
    "option": "{name}（{recipes}）× {seeds}",
    "option done": "{option}，已全部完成",
    "option left": "{option}，还有 {runs}未完成，预计需要 {time}",
    "points": "能检出 {points:.2f} 个点及以上的效应",
    "no points": "无法保证能检出多大的效应",
    "no points because": "{points}：{why}",
    "nothing in its rows": "{factors} 在其各行中不起作用",
    "not worked out": "有的主效应无法由其各行算出",
    "no noise": "只有一个随机种子时，没有多余的运行可以显示噪声",
    "detects": "能检出 {points:.2f} 个点及以上的主效应（检出概率 {power:.0f} %）；{clarity}",
    "floor": "只增加随机种子无法低于 {floor:.2f} 个点：受限于 {texts:,} 条测试文本",
    "instead": "或者：{option}：{points}；{clarity}",
    "not compared": "没有比较：{designs}：有的行没有探测（finegrid 只探测不超过 {most} 行的设计）",
    "to do so": "若要这样做：--apply 把 [design] {lines} 写入 study.toml；然后 {command}",
    "to do so without": "若要这样做：--apply 从因素中去掉 {factors}，并把 [design] {lines} 写入 study.toml；"
    "然后 {command}",
    "measured": "方差：根据本研究 {seeds}、{runs}，单次运行自身的偶然波动为 {luck:.2f} 个点",
    "assumed": "方差：假定值，因为还没有完成两个随机种子：{wrong:.1f} % 的文本判错（{source}）；同一配方换"
    "一个随机种子，有 {seeds:.1f} % 的文本预测不同，两个配方之间为 {recipes:.1f} %；此外单次运行自身的偶然"
    "波动为 {own:.2f} 个点，合计 {luck:.2f} 个点。完成两个随机种子后改用实测值",
    "on dev": "与验证集上 {runs}相同",
    "a guess": "估计",
    "warning": "警告：{warning}",
    "smallest": "最小的设计，{name}（{recipes}）× 1 个随机种子，需要 {time}。",
    "all that fits": "只放得下一个随机种子：只能由本应没有效应之处看出运行的偶然波动。此设计用两个随机种子需"
    "要 {time}。",
    "one seed fits": "只有一个随机种子：只能由本应没有效应之处看出运行的偶然波动。此设计用两个随机种子需要 "
    "{time}。",
}
PHRASES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return PHRASES[lang][key].format(**fields)

"""What ``--help`` says, in Chinese: imported only when somebody who reads Chinese asks for it.

The English stands where commands and options are made; here it is the key. ``{}`` is what a text fills in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rich.text
from rich.cells import cell_len
from typer import rich_utils

from finegrid.terminal import find_cuts

CHINESE = {
    # finegrid itself
    "Which BERT fine-tuning strategies are worth it on your data, and what do they cost?": ""
    "在你的数据上，哪些 BERT 微调策略值得用，代价又是多少？",
    "Print the version.": "显示版本号。",
    "Install completion for the current shell.": "为当前 shell 安装命令补全。",
    "Show completion for the current shell, to copy it or customize the installation.": "显示当前 shell 的补"
    "全脚本，便于复制或自行安装。",
    "Show this message and exit.": "显示本帮助后退出。",
    # what several commands have
    "The study folder.": "研究文件夹。",
    "Print JSON.": "以 JSON 输出。",
    "Processes that train. Default: what cores and memory carry.": "训练进程数。默认：按核心数和内存决定。",
    "cpu or cuda. Default: study.toml's.": "cpu 或 cuda。默认：依 study.toml。",
    "fp32, bf16 or auto. Default: study.toml's.": "fp32、bf16 或 auto。默认：依 study.toml。",
    "GiB for all workers together. Default: 60 % of the machine's, or 80 % of each GPU's.": ""
    "所有进程合计可用的内存（GiB）。默认：机器内存的 60 %，或每块 GPU 显存的 80 %。",
    "Points; smaller differences are none. Default: a tenth of the baseline's error, 0.2 to 0.5.": ""
    "以点计；更小的差别视为没有差别。默认：基线误差的十分之一，在 0.2 至 0.5 之间。",
    "Points that a recommended recipe may lose against the baseline.": "推荐配方最多可比基线低多少个点。",
    "Let the study's own strategies run, which are code.": "允许运行该研究自带的策略（它们是代码）。",
    "How many seeds. Default: study.toml's.": "随机种子数。默认：依 study.toml。",
    "en or zh. Default: as LC_ALL or LANG say, English if they say neither.": "en 或 zh。默认：依 LC_ALL 或 "
    "LANG；若都不是，则用英文。",
    "Text column, by name or number; twice for pairs.": "文本列，写列名或列号；句对写两次。",
    "Whether the first row names the columns.": "第一行是不是列名。",
    "csv, tsv, jsonl or parquet. Default: as the files look.": "csv、tsv、jsonl 或 parquet。默认：根据文件判"
    "断。",
    "Between columns: comma, tab, semicolon or bar, or the character.": "列分隔符：comma、tab、semicolon、"
    "bar，或直接写该字符。",
    "rfc4180, or none: quotation marks are ordinary text.": "rfc4180 或 none；none 表示引号只是普通字符。",
    "Of text files, e.g. gb18030. Default: what is detected.": "文本文件的编码，例如 gb18030。默认：自动检"
    "测。",
    "The folder to make.": "要新建的文件夹。",
    "macro-f1, accuracy, mcc or f1:<label>.": "macro-f1、accuracy、mcc 或 f1:<标签>。",
    "Replicates of every recipe.": "每个配方重复的次数。",
    # init
    "Write a commented study.toml for your files, after checking them.": "检查你的文件，并写出带注释的 "
    "study.toml。",
    "Training texts: CSV, TSV, JSONL or Parquet.": "训练文本：CSV、TSV、JSONL 或 Parquet。",
    "The study folder to make.": "要新建的研究文件夹。",
    "Checkpoint: a folder, a hub id, or mini-zh. Default: mini-zh, for Chinese texts.": "检查点：文件夹、"
    "hub 上的名称，或 mini-zh。默认：中文文本用 mini-zh。",
    "Texts that choose epochs. Default: a part of train.": "用来选择轮次的文本。默认：从训练集中划出一部分。",
    "Texts that measure. Default: a part of train.": "用来衡量得分的文本。默认：从训练集中划出一部分。",
    "What to vary: {}. Default: five usual strategies, or --factors alone.": "要变化什么：{}。默认：五种常用"
    "策略；给出 --factors 时只变化它们。",
    "thucnews64 with the THUCNews study's own values, whatever the texts.": "按 THUCNews 研究原来的取值使用 "
    "thucnews64，取值不随文本调整。",
    "Vary these at their usual levels: any names that explain knows, with commas.": "让这些因素取其常用水"
    "平：凡是 explain 认得的名称都可以，用逗号分隔。",
    "Label column, by name or number.": "标签列，写列名或列号。",
    "full, fractional, one-at-a-time or screen. Default: the preset's.": "full、fractional、one-at-a-time "
    "或 screen。默认：依预设。",
    "Of a fraction or screen: III, IV or V. Default: IV.": "部分设计或筛选的分辨度：III、IV 或 V。默认：IV。",
    "factor=level of the baseline; repeat.": "基线的设置，写成 因素=水平；可重复。",
    "A new folder for your files without leaks, repeats and the like; the study's data.": ""
    "新文件夹，存放去掉泄漏、重复等问题后的文件，并作为研究的数据。",
    "Look for nearly equal texts among over 200,000, too.": "文本超过 200,000 条时也查找近似重复。",
    # plan, run, status
    "Say what a study will run, and what it will take.": "查看研究将运行什么，以及需要多少时间和内存。",
    "Look at the model: inert levels, time, memory.": "查看模型：不起作用的水平、时间、内存。",
    "Choose design and seeds for this time: 3h, 90m, 1h30m. Probes if need be.": "按这段时间选择设计和随机种"
    "子数：3h、90m、1h30m。必要时先查看模型。",
    "Write the design and seeds of --budget into study.toml.": "把 --budget 选出的设计和种子数写入 "
    "study.toml。",
    "Train what is still missing. Running again resumes.": "训练尚未完成的运行；再次执行本命令即可接着训练。",
    "A Ray cluster: ray, or ray://host:10001. Default: this machine.": "Ray 集群：ray 或 ray://host:10001。默"
    "认：本机。",
    "With --on: folder or URL where states are kept that other nodes go on from.": "与 --on 同用：保存状态"
    "的文件夹或 URL，其他节点可从中继续。",
    "Allow runs of several devices, precisions, threads, stacks, nodes.": "允许混用不同设备、精度、线程数、堆"
    "叠方式和节点的运行。",
    "With --on: nodes may differ from each other.": "与 --on 同用：允许各节点互不相同。",
    "Only these rows of the table, e.g. 1,35,50.": "只训练表中的这些行，例如 1,35,50。",
    "Add seeds, at planned looks, until every verdict is in.": "按计划的期中分析增加种子，直到得出全部结论。",
    "With --until-decided: stop before this time is over, e.g. 3h, 90m.": "与 --until-decided 合用：在这段时"
    "间用完之前停下，例如 3h、90m。",
    "Stop before this time is over, e.g. 2h, 30m. Begins no run too long.": "在这段时间用完之前停下，例如 "
    "2h、30m；来不及做完的运行不会开始。",
    "Say what is done, what failed, and what is left.": "查看哪些已完成、哪些失败、还剩哪些。",
    # check-strategy
    "Check on a small study what a strategy of your own promises. Exit code 1 if it breaks a promise.": ""
    "在一个小研究上检查你自己的策略是否守信。有不符合之处时退出码为 1。",
    "A Python file, or the name of an installed strategy.": "Python 文件，或已安装策略的名称。",
    "factor=level that switches a factor on, or of the baseline; repeat.": "打开因素的水平，或基线的水平，"
    "写作 factor=level；可重复。",
    # table, verdict, report, watch, export
    "Print the study's table, in the order of the design.": "按设计的顺序显示研究的结果表。",
    "markdown, csv or json.": "markdown、csv 或 json。",
    "markdown: also the best and the worst row, and seconds.": "用于 markdown：另外显示最好和最差的行，以及"
    "所用秒数。",
    "Say what each strategy is worth, with an interval, and which recipe to use.": "说明每种策略值多少（附区"
    "间），以及该用哪个配方。",
    "Write the report: a page that needs nothing else, or tables and figures for papers and slides.": ""
    "写出报告：一个自带全部内容的网页，或供论文和幻灯片使用的表格与图。",
    "html, md, svg or png.": "html、md、svg 或 png。",
    "Which figure, for svg and png: forest, frontier, seeds, ...": "svg 和 png 要哪张图：forest、frontier、"
    "seeds 等。",
    "Default: DIR/report.html, DIR/FIGURE.svg; tables to the terminal.": ""
    "写到哪里。默认：DIR/report.html 或 DIR/FIGURE.svg；表格显示在终端。",
    "Show a study's report in a browser, and keep it up to date while the study runs.": "在浏览器中显示研究"
    "的报告，并在运行期间随时更新。",
    "Of this machine. Default: any free one.": "本机的端口。默认：任意空闲端口。",
    "Open the page in a browser.": "在浏览器中打开该页面。",
    "Take a study into other tools: tables of runs, epochs and effects, TensorBoard, MLflow.": ""
    "把研究导出到其他工具：运行、轮次和效应的表格，TensorBoard，MLflow。",
    "csv, parquet, tensorboard or mlflow.": "csv、parquet、tensorboard 或 mlflow。",
    "The folder to write to. Default: DIR/export.": "写入的文件夹。默认：DIR/export。",
    "csv, parquet: also what every run says of every text.": "用于 csv、parquet：另外写出每次运行对每条文本"
    "的预测。",
    "mlflow: a store or server. Default: a folder in DIR/export.": "用于 mlflow：存储位置或服务器。默认："
    "DIR/export 中的文件夹。",
    # fit, export-onnx, predict
    "Train one recipe of a study and keep its model. Running again resumes.": "训练研究中的一个配方并保存其"
    "模型。再次运行即接着训练。",
    "A row of the table, baseline, or factor=level,... on top of it. Default: the verdict's.": ""
    "表中的一行、baseline，或在基线上改动的 因素=水平,...。默认：结论所推荐的。",
    "Where the model goes. Default: DIR/models/best.": "模型存放的位置。默认：DIR/models/best。",
    "Default: the study's first.": "随机种子。默认：研究的第一个种子。",
    "Replace a model that is there already.": "覆盖已有的模型。",
    "Write model.onnx, too. Needs pip install 'finegrid\\[onnx]'.": "另外写出 model.onnx。需要 pip install "
    "'finegrid\\[onnx]'。",
    "Upload the model to the Hugging Face hub, without any texts.": "把模型上传到 Hugging Face hub，不含任何"
    "文本。",
    "Let everybody see what is pushed. Default: you alone.": "上传的模型对所有人可见。默认：仅自己可见。",
    "Write a kept model as ONNX into its folder, and check that it gives the same logits.": ""
    "把已保存的模型以 ONNX 格式写入其文件夹，并核对两者的 logits 相同。",
    "A folder that finegrid fit wrote.": "finegrid fit 写出的文件夹。",
    "Label texts with a model that was kept.": "用已保存的模型为文本预测标签。",
    "Texts: CSV, TSV, JSONL, Parquet, or .txt with a text a line; - for standard input.": ""
    "文本：CSV、TSV、JSONL、Parquet，或每行一条文本的 .txt；- 表示标准输入。",
    "FILE.tsv, .csv, .jsonl or .parquet. Default: TSV to the terminal.": "FILE.tsv、.csv、.jsonl 或 "
    ".parquet。默认：以 TSV 显示在终端。",
    "A text itself, instead of FILE; more than once for more, or for pairs.": "直接给出文本，不用 FILE；多条"
    "文本或句对可重复。",
    "Label column, by name or number, to score.": "标签列，写列名或列号，用来计算得分。",
    "Write all columns of FILE, or its texts and labels alone.": "写出 FILE 的所有列，或只写文本和标签。",
    "cpu or cuda. Default: cpu.": "cpu 或 cuda。默认：cpu。",
    "fp32, bf16 or auto. Default: fp32.": "fp32、bf16 或 auto。默认：fp32。",
    # import, example
    "Take over a table of recipes and results from anywhere. Nothing is trained.": "导入任何来源的配方与结果"
    "表格。不做任何训练。",
    "Recipes and results: CSV, TSV or a markdown table.": "配方与结果：CSV、TSV 或 markdown 表格。",
    "A factor without effect: rows that differ in it alone are repeats; repeat.": "不起作用的因素：仅在它上"
    "面不同的行视为重复运行；可重复。",
    "Column of the results. Default: by its name.": "结果列。默认：按列名判断。",
    "Column of seconds. Default: by its name.": "秒数列。默认：按列名判断。",
    "factor=level of the baseline. Default: the first row's; repeat.": "基线的水平，写成 因素=水平。默认：第"
    "一行的水平；可重复。",
    "Of the results. Needed where their name sounds like an error or a loss.": "结果越低越好，还是越高越好。"
    "列名像误差或损失时必须写明。",
    "Make the folder of a published table that comes with finegrid.": "为 finegrid 自带的一份已发表表格建立"
    "文件夹。",
    "thucnews64-published.": "目前只有 thucnews64-published。",
    # confirm, compare
    "Train the recommended recipe and the baseline on fresh seeds, and compare them. Resumes.": ""
    "用新的随机种子训练推荐配方和基线并比较两者。可接着运行。",
    "Fresh labelled texts. Default: the study's own test texts.": "新的带标签文本。默认：研究自己的测试集。",
    "How many, not used before.": "用多少个新的随机种子。",
    "Judge systems by their predictions: which one to use, how sure that is, what would settle it.": ""
    "根据预测结果评判各系统：该用哪一个、有多大把握、还需要什么才能判断。",
    "Predictions by id: CSV, TSV, JSONL or Parquet. The first system is the baseline; a name again adds a "
    "run; a file alone gives the name.": "按 id 的预测结果：CSV、TSV、JSONL 或 Parquet。第一个系统是基线；重"
    "复同一名称即增加一次运行；只写文件时以文件名为名称。",
    "Ids and gold labels. Default: a gold column of the predictions.": "id 与标准答案。默认：取预测文件中的"
    "标准答案列。",
    "The n-th files of all systems share a seed.": "各系统的第 n 个文件共用一个随机种子。",
    "Column of ids, by name or number.": "id 列，写列名或列号。",
    "Column of predicted labels, by name or number.": "预测标签列，写列名或列号。",
    "Column of gold labels, by name or number.": "标准答案列，写列名或列号。",
    "Also write a report: FILE.html (a page) or FILE.md (tables).": "另外写出报告：FILE.html（网页）或 "
    "FILE.md（表格）。",
    # explain, demo, machine
    "Print the card of a strategy: paper, idea, levels, deviations. Without a name, list all.": ""
    "显示一种策略的卡片：论文、思路、水平、与原文的出入。不写名称则列出全部。",
    "reinit.layers, a whole part (reinit), or a strategy (LLRD). Default: a list of all.": ""
    "reinit.layers、整个部分（reinit）或策略名（LLRD）。默认：列出全部。",
    "Run the 64 recipes on the embedded data set and checkpoint. Resumes an unfinished demo.": ""
    "用自带的数据集和检查点运行 64 个配方。未完成的演示会接着运行。",
    "Where to.": "写到哪里。",
    "Say what this machine and this installation can do.": "查看这台机器和当前安装能做什么。",
    # pretrain
    "Pre-train a BERT on your own unlabelled text, from a checkpoint or from nothing.": "用你自己的无标签文"
    "本预训练 BERT，从检查点继续或从头开始。",
    "Files of text, .txt or .jsonl, also .xz, .gz, .bz2 or .zst; repeat.": "文本文件，.txt 或 .jsonl，也可以"
    "是 .xz、.gz、.bz2 或 .zst；可重复。",
    "The folder to make; the same command goes on.": "要新建的文件夹；再次运行同一命令即接着训练。",
    "Checkpoint to go on from: a folder, a hub id, or mini-zh.": "从哪个检查点继续：文件夹、hub 上的名称，"
    "或 mini-zh。",
    "Or the config.json of a BERT to start from random weights.": "或给出 BERT 的 config.json，从随机权重开"
    "始。",
    "Tokens to see.": "总共训练多少词元。",
    "Or the time to take: 90m, 1h30m.": "或给出训练时间：90m、1h30m。",
    "How often an epoch shows each file; in order.": "每个文件在一轮中出现的次数；按文件顺序给出。",
    "Files whose lines are not to be learned from; repeat.": "这些文件中的行不用于训练；可重复。",
    "Key of the text in JSON lines.": "JSONL 中文本的键。",
    "Layers of each stage, such as 3,6,12.": "各阶段的层数，例如 3,6,12。",
    "Tokens of a sequence.": "每个序列的词元数。",
    "Tokens of a step.": "每步的词元数。",
    "Peak learning rate. Default: {}; with --init {}.": "最高学习率。默认：{}；用 --init 时为 {}。",
    "Share of the run with a rising rate.": "预热（学习率上升）所占的比例。",
    "Share of tokens to hide.": "遮盖的词元比例。",
    "Hide whole pieces, words or spans.": "按 pieces（词元）、words（词）或 spans（片段）整体遮盖。",
    "Share of sequences that are pairs.": "由句对组成的序列所占的比例。",
    "Share of the text to judge by.": "留出用于评估的文本比例。",
    "With the config's dropout.": "使用配置中的 dropout。",
    "Of the finished weights: bfloat16 or float32.": "最终权重的类型：bfloat16 或 float32。",
    "Of everything random.": "随机种子。",
    "Cores. Default: all.": "使用的核心数。默认：全部。",
    "cpu or cuda.": "cpu 或 cuda。",
    "fp32, bf16 or auto.": "fp32、bf16 或 auto。",
}
USAGE = ("Usage: ", "用法：")
METAVARS = {"[OPTIONS]": "[选项]", "COMMAND [ARGS]...": "命令 [参数]..."}
# What typer itself says in its panels.
PANELS = {
    "ARGUMENTS_PANEL_TITLE": "参数",
    "OPTIONS_PANEL_TITLE": "选项",
    "COMMANDS_PANEL_TITLE": "命令",
    "DEFAULT_STRING": "[默认：{}]",
    "REQUIRED_LONG_STRING": "[必填]",
}


def translate(text: str) -> str:
    """The Chinese of a help text; as it is where it has none."""
    if text in CHINESE:
        return CHINESE[text]
    for english, chinese in CHINESE.items():
        if "{}" in english:
            found = re.fullmatch(re.escape(english).replace(r"\{\}", "(.+)"), text)
            if found:
                return chinese.format(*(part.replace(", ", "、") for part in found.groups()))
    return text


@contextmanager
def in_chinese(command: Any, context: Any) -> Iterator[None]:
    """Around the printing of a command's help.

    Args:
        command: of typer, made for this call alone: what it says is changed.
        context: its.
    """
    command.help = translate(command.help)
    for parameter in command.get_params(context):
        parameter.help = parameter.help and translate(parameter.help)
    for name in ("options_metavar", "subcommand_metavar"):
        metavar = str(getattr(command, name, ""))
        setattr(command, name, METAVARS.get(metavar, metavar))
    usage, commands = command.get_usage, getattr(command, "get_command", None)
    command.get_usage = lambda context: usage(context).replace(*USAGE, 1)
    if commands is not None:
        command.get_command = lambda context, name: with_chinese_help(commands(context, name))
    with replaced(rich_utils, **PANELS), replaced(rich.text, divide_line=divide_line):
        yield


def with_chinese_help(command: Any) -> Any:
    command.help = translate(command.help)
    return command


def divide_line(text: str, width: int, fold: bool = True) -> list[int]:
    """Where rich breaks a text: between Chinese characters too, but not before a comma.

    A line keeps the blank at its end, for which there must be room: rich takes it away by counting
    characters, not columns.
    """
    plain = text.rstrip()
    return [] if cell_len(plain) <= width else find_cuts(plain, width - 1, width - 1)[1:]


@contextmanager
def replaced(module: Any, **values: object) -> Iterator[None]:
    """Names of a library with other values; those that this version of it does not have are left out."""
    kept = {name: getattr(module, name) for name in values if hasattr(module, name)}
    for name in kept:
        setattr(module, name, values[name])
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(module, name, value)

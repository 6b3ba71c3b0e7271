"""What `finegrid machine` says, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "processor": "processor   {processor}, {cores} cores",
    "memory": "memory      {memory}, {free:.0f} GiB of it free",
    "disk": "disk        {free:.0f} GiB free in this folder",
    "system": "system      {system}",
    "versions": "versions    {versions}",
    "hub": "hub         asked for a model that is named and not there yet; {setting}=1 forbids it",
    "offline": "hub         never asked: {setting} is set",
    "no training": "training    not possible: {why}. It needs: pip install {libraries}",
    "reading": "            (reading needs neither: verdict, report, compare, watch)",
    "gpu": "GPU {number}       {name}, {memory:.0f} GiB, {share:.0f} % of it for runs, capability "
    "{capability}, {bf16}",
    "bf16": "bf16",
    "no bf16": "no bf16: use --precision fp32",
    "no gpu": "GPU         none that torch {version} can use",
    "precision": "precision   auto is {precision} on the processor: {why}",
    "flags": "it has {flags}",
    "no flags": "it has no instructions for bf16",
    "compiler": "C++         {path} compiles part of a training step for this processor",
    "no compiler": "C++         no compiler ({path}): a training step on the processor takes longer without",
    "workers": "workers     {workers}, a thread each, {memory:.0f} GiB for all; large models take fewer",
    "extra there": "extra       {name} is installed: {adds}",
    "extra": "extra       pip install 'finegrid[{name}]' adds: {adds}",
}
CHINESE = {
    "processor": "处理器      {processor}，{cores} 核",
    "memory": "内存        {memory}，其中 {free:.0f} GiB 可用",
    "disk": "磁盘        当前文件夹还有 {free:.0f} GiB 可用",
    "system": "系统        {system}",
    "versions": "版本        {versions}",
    "hub": "hub         只在指定的模型本地没有时访问；设置 {setting}=1 即禁止访问",
    "offline": "hub         从不访问：已设置 {setting}",
    "no training": "训练        无法训练：{why}。需要：pip install {libraries}",
    "reading": "            （verdict、report、compare、watch 只读取结果，不需要它们）",
    "gpu": "GPU {number}       {name}，{memory:.0f} GiB，其中 {share:.0f} % 供运行使用，计算能力 "
    "{capability}，{bf16}",
    "bf16": "支持 bf16",
    "no bf16": "不支持 bf16：请用 --precision fp32",
    "no gpu": "GPU         没有 torch {version} 可用的 GPU",
    "precision": "精度        auto 在处理器上就是 {precision}：{why}",
    "flags": "处理器支持 {flags}",
    "no flags": "处理器没有 bf16 指令",
    "compiler": "C++         {path}，训练步中的部分计算由它为本机处理器编译",
    "no compiler": "C++         没有编译器（{path}）：在处理器上训练会慢一些",
    "workers": "进程        {workers} 个，每个一个线程，合计 {memory:.0f} GiB；模型大时进程更少",
    "extra there": "可选组件    已安装 {name}：{adds}",
    "extra": "可选组件    pip install 'finegrid[{name}]' 可增加：{adds}",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)

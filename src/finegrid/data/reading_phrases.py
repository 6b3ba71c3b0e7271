"""The phrases that say what files were read as, in English and Chinese. A label takes ten columns."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "rows": "rows      {rows}",
    "columns": "columns   {kind}: {text} ({why_text}); label: {label} ({why_label})",
    "format": "format    {format}",
    "classes": "classes   {classes:,}, in train: {named}",
    "tokens": "tokens    {splits}",
    "and": " and ",
    "drawn": " (drawn: {parts})",
    "text": "text",
    "texts": "texts",
    "number": "number {number}",
    "header": "a header ({why})",
    "no header": "no header ({why})",
    "separated": "separated by {marks}",
    "rfc4180": "quotes as in RFC 4180",
    "none": "quotation marks as ordinary text",
    "reads": "{encodings}, which reads {samples}",
    "smaller": " and {count:,} smaller ones",
    "rare": "; {count:,} rare ones (under {least} texts): {which}",
    "one rare": "; {count:,} rare one (under {least} texts): {which}",
    "more": " and {count:,} more",
    "split": "{part} {mean:.1f} a text{drawn} (median {median:.0f}, 99th percentile {high:.0f}, "
    "longest {longest:,}; {cut:,} cut at {length}; {share} unknown)",
    "drawn ones": " in {texts:,} drawn ones",
    "less": "less than 0.1 %",
    "examples": ", e.g. {examples}",
    # what clean files lack
    "clean": "clean     {file}: {count:,} rows taken out",
    "clean one": "clean     {file}: {count:,} row taken out",
    "because": " ({reasons})",
    "of reason": "{why}: {count:,}",
    "changed": ", {count:,} labels changed",
    "changed one": ", {count:,} label changed",
    "listed": "clean     {file} lists them",
    # parts of a study's texts, and what stands between columns
    "train": "train",
    "dev": "dev",
    "test": "test",
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "bars",
}
CHINESE = {
    "rows": "行数      {rows}",
    "columns": "列        {kind}：{text}（{why_text}）；标签：{label}（{why_label}）",
    "format": "格式      {format}",
    "classes": "类别      {classes:,} 个，训练集中：{named}",
    "tokens": "词元      {splits}",
    "and": "和",
    "drawn": "（从中划分：{parts}）",
    "text": "文本",
    "texts": "文本对",
    "number": "第 {number} 列",
    "header": "有表头（{why}）",
    "no header": "没有表头（{why}）",
    "separated": "以{marks}分隔",
    "rfc4180": "引号按 RFC 4180 处理",
    "none": "引号作为普通字符",
    "reads": "{encodings}，读出 {samples}",
    "smaller": "，另有 {count:,} 个较小的",
    "rare": "；稀有类别 {count:,} 个（少于 {least} 条文本）：{which}",
    "one rare": "；稀有类别 {count:,} 个（少于 {least} 条文本）：{which}",
    "more": "，还有 {count:,} 个",
    "split": "{part}平均每条 {mean:.1f} 个{drawn}（中位数 {median:.0f}，第 99 百分位数 {high:.0f}，"
    "最长 {longest:,}；{cut:,} 条在 {length} 处截断；{share} 不在词表中）",
    "drawn ones": "（抽取 {texts:,} 条）",
    "less": "不到 0.1 %",
    "examples": "，例如 {examples}",
    "clean": "清理      {file}：删去 {count:,} 行",
    "clean one": "清理      {file}：删去 {count:,} 行",
    "because": "（{reasons}）",
    "of reason": "{why} {count:,}",
    "changed": "，改动 {count:,} 个标签",
    "changed one": "，改动 {count:,} 个标签",
    "listed": "清理      逐行列在 {file}",
    "train": "训练集",
    "dev": "验证集",
    "test": "测试集",
    ",": "逗号",
    "\t": "制表符",
    ";": "分号",
    "|": "竖线",
}
PHRASES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return PHRASES[lang][key].format(**fields)

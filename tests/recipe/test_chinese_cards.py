"""Cards in Chinese say what the English ones say, and strategies are found by their Chinese names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields

import pytest
from rich.cells import cell_len
from support.command_line import Call

from finegrid.errors import InputError
from finegrid.recipe.card import CHINESE_CARDS, FACTOR, card, describe_factor, describe_part, read_chinese
from finegrid.recipe.catalogue import KINDS, entries, find, list_lines, parts
from finegrid.recipe.recipe import DEFAULTS, Recipe
from finegrid.recipe.words import KINDS_IN_CHINESE, STEPS_IN_CHINESE

PARTS = [field.name for field in fields(Recipe)]
HEAD = re.compile(r"^([A-Z][a-z]+|[\u4e00-\u9fff]+) +(?=\S)", re.MULTILINE)
# What no translation changes: code, commands, numbers (of papers, too), and names such as LayerNorm.
KEPT = {
    "code": re.compile(r"``.+?``"),
    "commands": re.compile(r"(?<!`)`[^`]+`(?!`)"),
    "numbers": re.compile(r"\d+(?:[.,]\d+)*"),
    "names": re.compile(r"[A-Z]\w*[A-Z]\w*"),
}
WIDE = "[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
CARELESS = re.compile(
    rf"[\u4e00-\u9fff][,.;:!?()]|[,;:!?](?={WIDE})|[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]"
    r"|[，。；：、？！（）] | [，。；：、？！（）]|\u3000"
)


def paragraphs(text: str) -> list[tuple[str, str]]:
    """Of a card without factors: what marks each, and what it says. The first sentence has no mark."""
    summary, _, body = text.partition("\n\n")
    _, *pieces = HEAD.split(body)
    pairs = [("", summary), *zip(pieces[::2], pieces[1::2], strict=True)]
    return [(head, " ".join(told.split())) for head, told in pairs]


def both(part: str) -> Iterable[tuple[tuple[str, str], tuple[str, str]]]:
    """Paragraphs in English, beside those in Chinese."""
    of_part = parts()[part]
    return zip(paragraphs(describe_part(of_part)), paragraphs(describe_part(of_part, "zh")), strict=True)


@pytest.mark.parametrize("part", PARTS)
def test_a_chinese_card_keeps_code_numbers_and_names_of_every_paragraph(part: str) -> None:
    """Whoever changes one card has to change the other one."""
    for (head, english), (chinese_head, chinese) in both(part):
        assert chinese != english and chinese.endswith(("。", "？")), head
        for kind, kept in KEPT.items():
            where = f"{part}, {head} ({chinese_head}): {kind}"
            assert Counter(kept.findall(chinese)) == Counter(kept.findall(english)), where


def test_a_head_has_one_name_in_chinese_in_all_cards() -> None:
    named = {(english, chinese) for part in PARTS for (english, _), (chinese, _) in both(part)}

    assert len(named) == len({english for english, _ in named}) == len({chinese for _, chinese in named}) > 20
    assert {("Paper", "论文"), ("Idea", "思路"), ("Off", "关闭"), ("Evidence", "证据")} <= named


def test_every_file_is_the_card_of_a_part_and_describes_its_factors_in_their_order() -> None:
    described = [
        factor
        for part in parts().values()
        for factor, _ in FACTOR.findall(read_chinese(type(part).__module__))
    ]

    assert described == [*DEFAULTS]
    assert {file.stem for file in CHINESE_CARDS.iterdir()} == {
        type(part).__module__.rpartition(".")[2] for part in parts().values()
    }


@pytest.mark.parametrize("factor", DEFAULTS)
def test_every_factor_is_described_in_chinese(factor: str) -> None:
    english, chinese = describe_factor(factor), describe_factor(factor, "zh")

    assert english and not re.search("[\u4e00-\u9fff]", english)
    assert re.search("[\u4e00-\u9fff]", chinese) and not chinese.endswith("。")
    assert card(factor, "zh").splitlines()[-1].startswith(f"{factor}    {chinese}（")
    assert card(factor).splitlines()[-1].startswith(f"{factor}    {english} (")


def test_chinese_is_set_as_chinese_is() -> None:
    """Full-width marks without a blank, a blank between Chinese and other letters; lines end in a mark."""
    for file in CHINESE_CARDS.iterdir():
        text = file.read_text(encoding="utf-8")
        for line in FACTOR.sub(r"\2", text).splitlines():
            told = re.sub(r"``.*?``|`[^`]+`", "X", HEAD.sub("", line.strip()))
            assert not CARELESS.search(told), line
        for line in FACTOR.split(text, 1)[0].splitlines():
            assert not line or line.endswith(("。", "；", "：", "？")), line
    for text in [*list_lines("zh")]:
        assert not CARELESS.search(text.lstrip()), text


@pytest.mark.parametrize("careless", ["学习率,", "学习率.", "衰减(", "衰减。 每", "第3层", "词元 ，"])
def test_careless_setting_is_seen(careless: str) -> None:
    assert CARELESS.search(f"{careless}的")


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("预热", ("schedule.warmup_ratio",)),
        ("标签平滑", ("loss.smoothing",)),
        ("分层学习率", ("rates.layer_decay",)),
        ("知识蒸馏", ("distil.weight", "distil.temperature", "distil.teacher")),
        ("类别权重", ("loss.weights",)),
        ("早停", ("training.patience",)),
        ("冻结", ("freeze.layers", "freeze.dropout")),
        ("多样本Dropout", ("head.samples",)),
        ("权重衰减", ("optimizer.weight_decay", "optimizer.decay_on")),
        ("对比学习", ("contrast.weight", "contrast.tau")),
    ],
)
def test_a_strategy_is_found_by_its_chinese_names(name: str, factors: tuple[str, ...]) -> None:
    assert find(name).factors == factors


def test_every_strategy_has_a_chinese_name_of_its_own() -> None:
    for entry in entries():
        assert find(entry.listing.name_in("zh")).factors == entry.factors
        for name in entry.listing.chinese:
            assert re.search("[\u4e00-\u9fff]", name)
    assert {entry.listing.kind for entry in entries()} <= {*KINDS_IN_CHINESE} == {*KINDS}
    steps = {entry.listing.step for entry in entries()}
    assert {step for step in steps if not re.fullmatch(r"[\d.]+", step)} == {*STEPS_IN_CHINESE}


def test_what_comes_near_a_chinese_name_is_told_in_chinese() -> None:
    with pytest.raises(InputError, match='Did you mean "类别权重"'):
        find("类权重")
    with pytest.raises(InputError) as caught:
        find("dropou")
    assert not re.search("[\u4e00-\u9fff]", str(caught.value))


@pytest.mark.parametrize("environment", [False, True])
def test_explain_answers_in_chinese(call: Call, monkeypatch: pytest.MonkeyPatch, environment: bool) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    if environment:
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    asked = [] if environment else ["--lang", "zh"]
    listed, told = call("explain", *asked).stdout, call("explain", "warmup", *asked).stdout

    assert listed.startswith(f"{len(list(entries()))} 项策略：")
    assert "\n  预热                   A    schedule.warmup_ratio（1.0）\n" in listed
    assert "（1.0，另加之前的预训练）" in listed and not re.search(
        r"\b(strategies|evidence|losses)\b", listed
    )
    assert told.startswith("学习率调度：先预热，再按某种方式下降；默认线性降至 0。\n\n论文    Devlin et al.")
    assert "".join(told.split()).endswith("学习率上升阶段占总步数的比例（数值，>=0，<1；默认0.0）")
    assert max(map(cell_len, told.splitlines())) <= 60
    assert "".join(told.split()) == "".join(card("warmup", "zh").split())


def test_json_stays_english(call: Call) -> None:
    for name in ((), ("warmup",)):
        in_chinese = call("explain", *name, "--json", "--lang", "zh").stdout
        assert json.loads(in_chinese) == json.loads(call("explain", *name, "--json").stdout)
        assert not re.search("[\u4e00-\u9fff]", in_chinese)

"""What `finegrid pretrain` says while it works, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang, Telling

ENGLISH = {
    "finished": "{out} is finished; nothing to do",
    # the corpus
    "file": "{name}: {lines:,} lines, {millions:.1f} million characters kept",
    "repeated": "; {count:,} repeated lines dropped",
    "excluded": "; {count:,} dropped that --without names",
    "vocabulary": "training a vocabulary of {pieces:,} pieces",
    "short": "{count:,} documents of fewer than {least} tokens dropped",
    "texts": "{millions:.2f} M tokens ({unknown:.2%} unknown), {train:,} stretches to learn from, "
    "{held_out:,} held out",
    # the loop
    "grown": "{at}grown to {layers} layers",
    "loss": "{at}loss {loss:.3f}, {speed:,.0f} tokens/s",
    "judged": "{at}held-out loss {loss:.4f}, {accuracy:.2%} of hidden tokens guessed, {pairs:.1%} of pairs "
    "told apart",
    "at": "{done:6.1%}, {millions:.2f} M tokens, {layers} layers: ",
}
CHINESE = {
    "finished": "{out} 已完成，无事可做",
    "file": "{name}：保留 {lines:,} 行，{millions:.1f} 百万个字符",
    "repeated": "；去掉 {count:,} 个重复行",
    "excluded": "；去掉 {count:,} 行 --without 指定的文本",
    "vocabulary": "正在训练 {pieces:,} 个词片的词表",
    "short": "去掉 {count:,} 篇不足 {least} 个词元的文本",
    "texts": "{millions:.2f} 百万个词元（{unknown:.2%} 不在词表中），{train:,} 段用于学习，{held_out:,} 段留"
    "作评估",
    "grown": "{at}增加到 {layers} 层",
    "loss": "{at}损失 {loss:.3f}，每秒 {speed:,.0f} 个词元",
    "judged": "{at}留出文本的损失 {loss:.4f}，猜中 {accuracy:.2%} 的遮蔽词元，分清 {pairs:.1%} 的文本对",
    "at": "{done:6.1%}，{millions:.2f} 百万个词元，{layers} 层：",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)


def telling(key: str, **fields: object) -> Telling:
    """One line, in whichever language it is asked for."""
    return lambda lang: [say(key, lang, **fields)]

"""Which language texts look like, and which checkpoints are proposed for it."""

from __future__ import annotations

import pytest

from finegrid.encoders.languages import COMMON, HUB, MULTILINGUAL, find_language, propose_checkpoints


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of the country that is in the north?", "English"),
        ("Die Hauptstadt ist nicht weit von der Grenze und auch für Kinder.", "German"),
        ("Le prix est trop élevé pour les clients qui sont dans la région.", "French"),
        ("El equipo no juega muy bien porque los jugadores están cansados.", "Spanish"),
        ("央行宣布下调利率，股市大涨", "Chinese"),
        ("今日はとても良い天気です", "Japanese"),
        ("오늘은 날씨가 좋습니다", "Korean"),
        ("Сегодня хорошая погода", "Russian"),
        ("الطقس جميل اليوم", "Arabic"),
        ("Ὁ καιρὸς εἶναι καλός", "Greek"),
        ("zxq vvk plooh", None),
        ("12:30 -- 500 %", None),
        ("", None),
    ],
)
def test_letters_and_frequent_words_tell_the_language(text: str, language: str | None) -> None:
    assert find_language([text]) == language


def test_names_in_another_script_do_not_change_it() -> None:
    assert find_language(["小米发布新手机 Xiaomi 14", "腾讯财报超预期 Q3"]) == "Chinese"


def test_every_language_that_is_told_has_checkpoints_and_all_others_the_multilingual_ones() -> None:
    for language in (*COMMON, *HUB):
        assert propose_checkpoints(language)
    assert propose_checkpoints("English")[0] == "google-bert/bert-base-uncased"
    assert propose_checkpoints(None) == MULTILINGUAL == propose_checkpoints("Japanese")
    assert len({name for names in HUB.values() for name in names}) == sum(map(len, HUB.values()))

"""Speech over music, as it is told on the page and on the terminal."""

from __future__ import annotations

from diffbgm.console import speech_summary
from diffbgm.report.speech import panel
from diffbgm.sound.speech import SpeechLevel, worst

LEVELS = (
    SpeechLevel(1.0, 4.5, -17.0, -33.0, 0.0),
    SpeechLevel(12.3, 15.0, -18.2, -30.0, 2.4),
    SpeechLevel(20.0, 21.0, -18.0, None),
)


def test_the_panel_has_a_row_a_stretch() -> None:
    page = panel({"speech_over_music": [level.to_json() for level in LEVELS]})
    assert page.count("<tr>") == 1 + len(LEVELS)
    assert "0:12.30" in page
    assert ">14.2<" in page
    assert "−" + "30.0" in page
    assert "–" in page, "no music in the last one"


def test_there_is_no_panel_where_nobody_speaks() -> None:
    assert panel({"speech_over_music": []}) == ""
    assert panel({}) == ""


def test_the_terminal_names_the_worst_stretch() -> None:
    least = worst(LEVELS)
    assert least is not None
    assert speech_summary(least) == (
        "speech over music: 14.2 LU at the worst span, 12.3-15.0 s, the music lowered there by 2.4 dB"
    )

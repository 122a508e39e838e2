"""Text that a program makes of values arrives in Python as text."""

from __future__ import annotations

import dsl


def test_text_with_values_is_a_str() -> None:
    module = dsl.loads('say(x) = "x = $x: $(:up), $("on"), $(nothing), $((1, "a"))"')
    assert module.say(2.5) == 'x = 2.5: up, on, nothing, (1, "a")'
    assert module.eval('"$(1 + 1)"') == "2"

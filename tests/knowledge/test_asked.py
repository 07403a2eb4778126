"""What figures answer, and what their sentences are about."""

import pytest

from knowledge.asked import per_of, question_of, roles_of
from knowledge.names_in_text import names_in
from knowledge.quantities import quantities


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("签收后 7 天内可退货", "签收后 多久 内可退货"),
        ("Delivery costs £5.", "Delivery costs how much money ."),
    ],
)
def test_figure_is_asked_for(text: str, expected: str) -> None:
    found = tuple(quantities(text))
    assert question_of(text, found[0], found) == expected


def test_other_figures_are_left_out() -> None:
    text = "Up to 8 people for £60"
    found = tuple(quantities(text))
    assert question_of(text, found[1], found) == "Up to … for how much money"


def test_limits_are_named() -> None:
    assert roles_of("at least 3 hours before") == {"least", "before"}
    assert roles_of("最多 3 次") == {"most"}


def test_reckoning_units_are_alike_in_both_languages() -> None:
    assert per_of("每人 58 元") == per_of("£8 per person") == {"person"}


def test_names_of_places() -> None:
    assert names_in("The showroom in London opens at ten.") == {"london"}
    assert names_in("西溪店早上十点开门") == {"西溪"}
    assert names_in("本店早上十点开门") == frozenset()

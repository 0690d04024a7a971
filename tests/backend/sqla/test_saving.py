"""What an error of a driver says of an upsert."""

from __future__ import annotations

import pytest

from flask_dance_nosql.consumer.backend.sqla.saving import _lacks_constraint


class Told(Exception):
    """An error with the attributes of a driver."""

    def __init__(self, text: str, **told: str) -> None:
        super().__init__(text)
        self.__dict__.update(told)


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (Told("es gibt keinen passenden Unique-Constraint", sqlstate="42P10"), True),
        (Told("es gibt keinen passenden Unique-Constraint", pgcode="42P10"), True),
        (Told("ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"), True),
        (Told("Relation gibt es nicht", sqlstate="42P01"), False),
        (None, False),
    ],
)
def test_constraint_that_is_missing(error: Exception | None, lacks: bool) -> None:
    """It is told by the code where there is one, whatever the language of the server."""
    assert _lacks_constraint(error) is lacks

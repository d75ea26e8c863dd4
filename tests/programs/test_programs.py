"""Each program of the corpus does decorated what it does undecorated, for all its sizes, compiled once."""

from __future__ import annotations

import pytest

from tests.programs.catalogue import load
from tests.programs.expected import FAILS, STATES, TOO_LONG
from tests.programs.harness import check_program

PROGRAMS = load()


def _cases() -> list[object]:
    return [
        pytest.param(name, dtype, id=f"{name}-{dtype}", marks=_marks(name, dtype))
        for name, program in PROGRAMS.items()
        for dtype in program.dtypes
    ]


def _marks(name: str, dtype: str) -> list[pytest.MarkDecorator]:
    reason = FAILS.get(f"{name}-{dtype}", FAILS.get(name))
    return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, run=reason != TOO_LONG)]


@pytest.mark.parametrize(("name", "dtype"), _cases())
def test_does_what_numpy_does(name: str, dtype: str) -> None:
    assert check_program(PROGRAMS[name], dtype) == STATES.get(name, "native")


def test_expected_names_programs_that_exist() -> None:
    assert {key.partition("-")[0] for key in (*FAILS, *STATES)} <= PROGRAMS.keys()


def test_there_are_enough_programs_of_each_kind() -> None:
    assert len(PROGRAMS) >= 60
    assert len({program.domain for program in PROGRAMS.values()}) >= 12
    assert sum(program.loops for program in PROGRAMS.values()) >= 30

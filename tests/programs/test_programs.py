"""Each program of the corpus does decorated what it does undecorated, for all its sizes, compiled once."""

from __future__ import annotations

import pytest

from tests.programs.catalogue import load
from tests.programs.expected import FAILS, STATES
from tests.programs.harness import check_program

PROGRAMS = load()


def _cases() -> list[object]:
    return [
        pytest.param(
            name,
            dtype,
            id=f"{name}-{dtype}",
            marks=[pytest.mark.xfail(reason=FAILS[key], strict=True)] if (key := _key(name, dtype)) in FAILS else [],
        )
        for name, program in PROGRAMS.items()
        for dtype in program.dtypes
    ]


def _key(name: str, dtype: str) -> str:
    """The line of a program, which may be of one dtype only."""
    return f"{name}-{dtype}" if f"{name}-{dtype}" in FAILS else name


@pytest.mark.parametrize(("name", "dtype"), _cases())
def test_does_what_numpy_does(name: str, dtype: str) -> None:
    assert check_program(PROGRAMS[name], dtype) == STATES.get(name, "native")


def test_expected_names_programs_that_exist() -> None:
    assert {key.partition("-")[0] for key in (*FAILS, *STATES)} <= PROGRAMS.keys()


def test_there_are_enough_programs_of_each_kind() -> None:
    assert len(PROGRAMS) >= 60
    assert len({program.domain for program in PROGRAMS.values()}) >= 12
    assert sum(program.loops for program in PROGRAMS.values()) >= 30

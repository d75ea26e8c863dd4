"""What all tests share: machine code goes to a directory of this run, never to the user's cache."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tracejit.ir.core import Function
from tracejit.ir.parser import parse
from tracejit.ir.verifier import verify
from tracejit.runtime import compile

# Before anything imports tracejit; subprocesses inherit it.
_directory = tempfile.TemporaryDirectory(prefix="tracejit-tests-")
os.environ["TRACEJIT_CACHE_DIR"] = _directory.name

# Every example may compile, which takes longer than hypothesis expects of one; seeds are fixed so that a run that was
# green stays green.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("explore", settings.get_profile("tests"), derandomize=False, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


@pytest.fixture(scope="session", autouse=True)
def _every_program_is_sound() -> None:
    """Whatever any test compiles keeps the rules of the IR at both levels, and its text reads back as the same text."""
    lowered = compile._loops

    def checked(function: Function, *rest: Any) -> Function:
        loops = lowered(function, *rest)
        for program in (function, loops):
            if len(program.eqns) < 2000:  # reading takes 40 us for an equation
                verify(program)
                text = str(program)
                assert str(parse(text)) == text
        return loops

    compile._loops = checked


@pytest.fixture(scope="session", autouse=True)
def _private_cache() -> Iterator[None]:
    yield
    _directory.cleanup()

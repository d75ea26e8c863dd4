"""``numpy.linalg``, compiled."""

from typing import Any

import numpy as np

from tracejit.numpy.names import public_name


def __getattr__(name: str) -> Any:
    found = globals()[name] = public_name(np.linalg, name, "tracejit.numpy.linalg")
    return found


def __dir__() -> list[str]:
    return sorted(np.linalg.__all__)

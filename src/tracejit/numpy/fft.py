"""``numpy.fft``, compiled."""

from typing import Any

import numpy as np

from tracejit.numpy import standard_fft
from tracejit.numpy.names import public_name


def __getattr__(name: str) -> Any:
    found = globals()[name] = public_name(np.fft, name, "tracejit.numpy.fft", standard_fft)
    return found


def __dir__() -> list[str]:
    return sorted(np.fft.__all__)

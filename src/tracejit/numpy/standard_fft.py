"""The functions of ``fft`` that the array API standard has with another signature than NumPy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tracejit.numpy.eager import compiled

__all__ = ["fftfreq", "rfftfreq"]


@compiled
def fftfreq(n: int, d: float = 1.0, device: Literal["cpu"] | None = None, *, dtype: Any = None) -> Any:
    """The frequencies of the bins of a Fourier transform of ``n`` samples that are ``d`` apart.

    Example:
        >>> fftfreq(4)
        array([ 0.  ,  0.25, -0.5 , -0.25])
    """
    frequencies = np.fft.fftfreq(n, d, device=device)
    return frequencies if dtype is None else frequencies.astype(dtype)


@compiled
def rfftfreq(n: int, d: float = 1.0, device: Literal["cpu"] | None = None, *, dtype: Any = None) -> Any:
    """The frequencies of the bins of a Fourier transform of ``n`` real samples that are ``d`` apart.

    Example:
        >>> rfftfreq(4)
        array([0.  , 0.25, 0.5 ])
    """
    frequencies = np.fft.rfftfreq(n, d, device=device)
    return frequencies if dtype is None else frequencies.astype(dtype)

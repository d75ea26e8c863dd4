"""What all tests of calls share."""

import pytest

from tests.runtime import kernels
from tracejit.runtime import cache


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    """Nothing comes from, or goes to, the user's own cache."""
    monkeypatch.setattr(cache, "default_cache", lambda: cache.DiskCache(None))


@pytest.fixture(params=kernels.KINDS, ids=lambda kind: kind.__name__)
def make(request):
    """Build a callable from programs: once with the machine-code entry, once in Python."""

    def build(*programs):
        instance = request.param()
        instance._install(programs)
        return instance

    return build

"""A stand-in for PyTorch that was built for processors only."""

from types import SimpleNamespace

__version__ = "2.8.0+cpu"
cuda = xpu = SimpleNamespace(is_available=lambda: False)
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))

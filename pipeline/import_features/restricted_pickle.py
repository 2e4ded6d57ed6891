"""Pickles of arrays, read without running what else a pickle may ask for.

A pickle is a program: it names functions, and whoever loads it calls them. Here it may name those
that put together arrays of numpy and tensors of torch, and no others; containers, texts and numbers
need none.
"""

import _codecs
import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError

# numpy 1 called its modules otherwise, and files of both are in the wild.
_NUMPY = ("numpy._core", "numpy.core")


class _Refused(Exception):
    """What a pickle asked for, by its full name."""


def read_pickle(path: Path) -> Any:
    """The content of a pickle of arrays, tensors, dictionaries, lists, texts and numbers.

    Raises:
        PipelineError: It is damaged, or asks for anything else, which is named and was not run.
    """
    try:
        with path.open("rb") as file:
            # Arrays that Python 2 wrote hold their bytes as text.
            return _Unpickler(file, encoding="latin1").load()
    except _Refused as refused:
        raise PipelineError(
            f"{path}: asks for {refused}, which is no part of an array or a tensor; nothing of it "
            "was run. If you trust the file, write its arrays anew with numpy.savez."
        ) from None
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to call
        raise PipelineError(
            f"{path}: not a whole pickle ({type(error).__name__}: {error}). Copy it again."
        ) from None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        package, _, file = module.rpartition(".")
        if package in _NUMPY and (file, name) in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        ):
            import importlib

            return getattr(importlib.import_module(f"numpy._core.{file}"), name)
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch._utils", "_rebuild_parameter"),
        ):
            import torch._utils

            return getattr(torch._utils, name)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        raise _Refused(f"{module}.{name}")


def _encoded(text: str, encoding: str) -> bytes:
    """The bytes of an array, as protocol 2 writes them; no other codec, some of which inflate."""
    if encoding != "latin1":
        raise _Refused(f"the encoding {encoding}")
    return _codecs.encode(text, encoding)


def _storage(content: bytes) -> Any:
    """The numbers of a tensor. torch's own function for it would run what they contain."""
    import torch

    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")

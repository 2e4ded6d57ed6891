"""What a bundle holds, and its manifest: the one place that knows the format.

A bundle is a zip archive without compression. Its manifest names every other file with its length
and SHA-256.
"""

import json
from collections.abc import Mapping
from typing import Any

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODELS = ("backbone.safetensors", "temporal.safetensors")
FILES = (*MODELS, "classes.json", "parameters.json", "metrics.json", "README.md")
"""All that may be in a bundle beside the manifest."""
NEEDED = (*MODELS, "classes.json", "parameters.json", "README.md")


def manifest_of(files: Mapping[str, tuple[int, str]]) -> bytes:
    """The manifest of files, each with its length and SHA-256."""
    listed = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in files.items()}
    return as_json({"format": FORMAT_VERSION, "files": listed})


def as_json(content: Any) -> bytes:
    """The same content, the same bytes."""
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()

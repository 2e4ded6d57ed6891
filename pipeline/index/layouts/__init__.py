"""Datasets as they lie on users' disks, one layout per file.

Each has `read(root, probes)` and returns a Dataset. `pipeline.index.layouts.dataset` holds what
they share.
"""

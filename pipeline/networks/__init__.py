"""Networks, one per file: tensors in, tensors out; no files, no params object."""

"""Metrics, one family per file: label arrays in, numbers out; no files, no params object."""

"""The demo: operations that the project renders itself, so that a fresh clone needs no download."""

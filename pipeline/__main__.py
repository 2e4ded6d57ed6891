"""`python -m pipeline`, the same as the installed command `surgphase`."""

from pipeline.cli import main

main()

"""``python -m finegrid``."""

from finegrid.cli import main

main()

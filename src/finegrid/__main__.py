"""``python -m finegrid``."""

from finegrid.cli.app import main

main()

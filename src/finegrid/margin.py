"""The margin of a verdict where none is given. Here the command line finds it without waiting for scipy."""

MARGIN = 0.2  # points; smaller differences are none

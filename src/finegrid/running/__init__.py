"""Processes that train what is planned: the parent, its workers, and what they tell each other.

Others import `launch`. The program of the child is ``worker``.
"""

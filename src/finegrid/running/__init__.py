"""Processes that train what is planned: the parent, its workers, and what they tell each other.

Others import `launch`, `runner` and `process`; `worker` is the program of the child.
"""

"""Processes that train what is planned: the parent, its workers, and what they tell each other.

Others import `launch` and `place`; who has workers elsewhere also `process` and `messages`. The program of
the child is ``worker``.
"""

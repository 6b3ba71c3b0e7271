"""Processes that train what is planned: the parent, its workers, and what they tell each other.

Others import `launch`, `place` and `admitting` (may code of a study run?); who has workers elsewhere also
`process` and `messages`. The programs of children are ``worker`` and ``describing``.
"""

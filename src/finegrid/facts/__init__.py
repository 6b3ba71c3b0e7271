"""What a verdict and a report say: the types of their JSON, and the words of a decision.

Others import `verdict`, `comparison` and `report` (the types), `decision_words`, `failure_words`,
`free_words` and `recommendation_words`. Whoever makes or shows them is in a room above, and need not know
how the others do.
"""

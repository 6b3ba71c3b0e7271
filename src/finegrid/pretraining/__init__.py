"""Pre-training of encoders on unlabelled text, by command and as a factor of a study.

Others import `settings` and `command` (the command), and `further` (the factor).
"""

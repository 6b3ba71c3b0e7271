"""Tables of recipes and results from elsewhere become a study folder that can be judged.

Others import `importing` and `examples`.
"""

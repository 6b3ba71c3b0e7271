"""Python: what ``import finegrid`` gives to users, in values; nothing prints unless asked.

``finegrid/__init__.py`` imports from here whatever a user asks for by name.
"""

"""What each strategy is worth and which recipe to use; interim decisions, screens and confirmations.

Others import `brief`, `classes`, `outcomes`, `verdict`, `words`, `to_json`, `interim`, `screening`,
`confirm`, `diagnose` and `diagnose_words`.
"""

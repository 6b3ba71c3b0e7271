"""Before a study, the real model shows what each level does, and what a step costs.

Others import `costs`, which makes the audit, and for one strategy `contract` and `contract_study`.
"""

"""The second half of a step: what a gradient does to a weight.

Others import `updater` (parameter groups, and what an update rule is) and the rules: `adamw`, `lion`, `sgd`,
`muon`, `adafactor`, `schedule_free`. Two go around another rule: with `masked` some numbers take no part,
and `prior_decay` pulls them.
"""

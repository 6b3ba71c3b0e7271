"""What a study is at while it runs: kept, drawn on the terminal, and written for the browser.

Others import `show`, `watcher`, `heartbeat`, `study_progress` and `words` (both languages).
"""

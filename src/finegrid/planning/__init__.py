"""What a study will run: distinct runs, the families that share work, what they take, and how it stands.

Others import `runs`, `families`, `forecast`, `free`, `capacity`, `phases`, `rough`, `status`, `status_words`,
`words` (both languages) and `here`.
"""

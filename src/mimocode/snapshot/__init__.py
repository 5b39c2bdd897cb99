"""States of a project's files, taken around what a turn does to them and gone back to when it is undone.

They are trees in bare git repositories of our own, one for each worktree; the user's repository is only read. Knows
nothing of sessions and turns.
"""

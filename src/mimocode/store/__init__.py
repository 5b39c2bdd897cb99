"""Rows on disk: a SQLite file, its dialect and its migrations."""

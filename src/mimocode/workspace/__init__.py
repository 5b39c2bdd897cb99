"""A project's files as clients look at them: listed, read, searched, and compared with what is committed."""

"""The core: what a turn does next. No I/O of its own; everything outside comes through `ports`."""

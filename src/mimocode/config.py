"""Files and environment, merged into one frozen Config."""

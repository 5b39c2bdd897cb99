"""Files and environment, merged into one frozen `Config`: keys, agents, rules, instructions, projects."""

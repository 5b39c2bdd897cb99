"""Where commands of tools run and what they reach there: rules, what the machine has, and how a command is put in."""

"""Who asked what, from where and when: a file that is only added to, each line bound to the one before."""

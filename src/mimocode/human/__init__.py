"""What a human is asked: questions and permissions, kept as rows that outlive the process."""

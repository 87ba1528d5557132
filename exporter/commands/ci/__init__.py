"""What the verbs say to a CI system, beside what they say to people."""

"""The verbs that make an artifact fit where it will run: other runtimes, and hosts."""

"""What is written: files that appear whole or not at all, and the files of an artifact."""

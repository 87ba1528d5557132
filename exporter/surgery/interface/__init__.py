"""What a graph shows to who runs it: the pictures it takes, and what it says of itself."""

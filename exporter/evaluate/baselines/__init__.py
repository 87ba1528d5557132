"""What the artifact's prototypes are compared with."""

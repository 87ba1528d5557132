"""Images on disk: their classes, their feature maps, and the crops that show a prototype."""

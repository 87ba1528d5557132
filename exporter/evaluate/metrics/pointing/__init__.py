"""Where do the prototypes point?"""

"""What is true to the pixel: do parts, backdrops and masks agree?"""

"""Do the contributions add up, and do they matter?"""

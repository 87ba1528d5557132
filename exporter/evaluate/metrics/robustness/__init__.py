"""What stays when picture, network or seed change, and what is said twice?"""

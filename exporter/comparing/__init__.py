"""Two artifacts, and what changed from the older to the newer one.

observe  both on the same images             pairs    which class and which part is which
compare  what manifests and files say        shifts   what the images say
record   what is found, as JSON              wording, markdown, page  the same for people

run.py has the stages in order.
"""

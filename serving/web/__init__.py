"""HTTP: the application, its routes, and what stands before them.

guard -> api -> routes -> host, which holds the process; launch starts the supervisor, and
health asks it from inside a container.
"""

"""HTTP: the application, its routes and protocols, and what stands before them.

guard -> api -> routes and protocols -> host, which holds the process; launch starts the supervisor.
"""

"""HTTP: the application, its routes and protocols, and what stands before them.

guard -> api -> routes, kserve, oip -> host, which holds the process; launch starts the supervisor.
"""

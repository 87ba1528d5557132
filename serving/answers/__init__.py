"""From the bytes of a request to the bytes of an answer, whatever carries them.

intake reads, plan says what is asked of the graph, answerer answers; schema is the shape of both,
and problems the shape of every failure.
"""

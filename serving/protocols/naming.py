"""The one model, by the name that clients put in the path."""

from serving.answers import Answerer
from serving.host import Host
from serving.problems import ProblemError


def named(host: Host, name: str) -> Answerer:
    """The answers of the model of that name; a request keeps the model it began with.

    Raises:
        ProblemError: Another model is served.
    """
    answerer = host.answerer()
    served = answerer.served.name
    if name != served:
        raise ProblemError("unknown-path", f"expected the model {served!r}, got {name[:80]!r}.")
    return answerer

"""Why a contender has no figures."""


class PeerError(Exception):
    """A contender cannot take part, or not any more; the message says why, in one line."""


def last_line(text: str) -> str:
    """Pick the line of a program's output that most likely says what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

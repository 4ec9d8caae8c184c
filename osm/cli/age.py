"""How long something has been: for tables that people read. Pure."""


def age(seconds: float) -> str:
    """A duration as kubectl writes it: the one or two units that matter."""
    whole = max(int(seconds), 0)
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}{f'{rest}{small_unit}' if rest else ''}"
    return f"{whole}s"

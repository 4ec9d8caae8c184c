"""The error that ends a command which cannot do what was asked. Pure: who decides needs no terminal."""


class CommandError(Exception):
    """A command cannot do what was asked. `remedy` is the next step: a command that runs as printed, or a sentence."""

    def __init__(self, what: str, *, remedy: str = "", status: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.status = status

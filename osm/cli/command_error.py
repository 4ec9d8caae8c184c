"""What a command ends with that cannot do what was asked. Pure: deciding about commands needs no way to speak."""


class CommandError(Exception):
    """A command cannot do what was asked. `remedy` is the next step: a command that runs as printed, or a sentence."""

    def __init__(self, what: str, *, remedy: str = "", status: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.status = status

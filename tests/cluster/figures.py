"""What a walk measured, step by step: told as it goes, and once more as a table when all tests are done."""

from dataclasses import dataclass, field

NARROW = 100
"""Longer words go on in the next line of the table."""


@dataclass
class Figures:
    """The steps in the order in which they were measured, each with its words."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, step: str, measured: str) -> None:
        self.steps.append((step, measured))
        print(f"\n  {step}: {measured}", flush=True)  # noqa: T201  # what `pytest -s` is for

    def table(self) -> list[str]:
        """A line for each step, the measured words under each other."""
        width = max((len(step) for step, _ in self.steps), default=0)
        return [f"{step:{width}}  {measured[:NARROW]}" for step, measured in self.steps]

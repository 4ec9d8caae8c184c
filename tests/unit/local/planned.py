"""What a machine is to run of a manifest, with all that is wrong with either."""

from services.local.instance import Machine
from services.local.plan import Plan, plan
from tests.unit.town_file import in_force_of


def planned_on(machine: Machine, text: str, before: Plan | None = None) -> tuple[Plan, list[str]]:
    found = in_force_of(text)
    made = plan(found, machine, before or Plan())
    return made, [str(each) for each in (*found.problems, *made.problems)]

"""Where the Helm chart lies: inside the installed package, or beside it in a checkout.

Apart from the commands that run helm on it, since the tests and the documentation look at the chart too.
"""

from pathlib import Path

import osm
from osm.cli.output import CommandError


def chart_path() -> Path:
    """The chart's folder. Raises CommandError if this installation came without it."""
    package = Path(osm.__file__).parent
    for folder in (package / "chart", package.parent / "deploy" / "chart"):
        if (folder / "Chart.yaml").is_file():
            return folder
    raise CommandError(
        f"the Helm chart is not in {package / 'chart'}", remedy="install osm anew: its wheel has the chart inside"
    )

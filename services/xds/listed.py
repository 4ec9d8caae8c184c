"""How much of what was rejected a status line lists: the first few, and how many more there are.

Separate because two kinds of lines need it. The bus takes documents up to a size, and a setting that Envoy refuses is
in every cluster of every class: to tell of all of them, at 4 KB of Envoy's words each, would end whoever tells.
"""

from collections.abc import Sequence

from msgspec import structs

from osm.contracts.status import Rejection

MOST_LISTED = 10
"""Rejections of one proxy or class. When there are more, they hardly differ."""

MOST_NAMES = 50
"""Resources of one rejection."""

LONGEST_REASON = 2000
"""Characters: what Envoy says of a resource fits, and of many resources it says much the same."""


def listed(rejections: Sequence[Rejection]) -> tuple[Rejection, ...]:
    """As they are, if they are few and short. Objects of the user that had a part in any are all named."""
    first, others = rejections[:MOST_LISTED], rejections[MOST_LISTED:]
    if not others:
        return tuple(map(_cut, first))
    rest = Rejection(
        type_url=others[0].type_url,
        resources=(f"{sum(len(each.resources) for each in others)} more",),
        reason="for reasons that are not listed",
        origins=tuple(sorted({origin for each in others for origin in each.origins})),
    )
    return (*map(_cut, first), rest)


def _cut(rejection: Rejection) -> Rejection:
    names, reason = rejection.resources, rejection.reason
    if len(names) > MOST_NAMES:
        names = (*names[:MOST_NAMES], f"{len(names) - MOST_NAMES} more")
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[:LONGEST_REASON]}..."
    return structs.replace(rejection, resources=names, reason=reason)

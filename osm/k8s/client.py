"""The Kubernetes API in our words: objects by kind, namespace and name; what is refused is one of our errors.

Bodies come as JSON and become the structs that the caller names (`dict[str, Any]` for the whole text); the client
library's models are not used. Nothing is kept here: whoever wants to know what changes asks `follow`.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from osm.k8s.access import access
from osm.k8s.connection import Call, Connection, opened
from osm.k8s.decoding import decode
from osm.k8s.errors import ApiError
from osm.k8s.objects import Object
from osm.k8s.resource import PODS, Resource
from osm.k8s.selection import METADATA, METADATA_LIST, WHOLE, Listing, Selection

T = TypeVar("T")

How = Literal["merge", "json", "strategic", "apply"]

PAGE = 500
"""Objects an answer: what kubectl asks for, and about a megabyte of pods."""

FIELD_MANAGER = "osm"

_CONTENT_TYPES: Mapping[How, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class _ListMeta(Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    next_page: str = msgspec.field(name="continue", default="")


class _List(Struct, frozen=True):
    metadata: _ListMeta = _ListMeta()
    items: tuple[Raw, ...] | None = None


class Cluster:
    """One API server; open it with `connected`. Every method raises ApiError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, what: Resource, name: str, namespace: str = "", *, as_: type[T]) -> T:
        accept = METADATA if as_ is Object else WHOLE
        call = Call(asked=_asked("get", what, namespace, name), path=what.path(namespace, name), accept=accept)
        return await self._answer(call, as_)

    async def list(
        self, what: Resource, namespace: str = "", *, as_: type[T], labels: str = "", fields: str = ""
    ) -> tuple[T, ...]:
        """`labels` and `fields` are selectors as kubectl writes them."""
        of = Selection(what=what, namespace=namespace, labels=labels, fields=fields, metadata_only=as_ is Object)
        listing = await self.listing(of)
        asked = _asked("list", what, namespace)
        return tuple(_read(asked, item, as_) for item in listing.items)

    async def create(
        self, what: Resource, body: Mapping[str, Any], namespace: str = "", *, dry_run: bool = False
    ) -> Mapping[str, Any]:
        """What the server made of it. `namespace` may stand in the body as well."""
        namespace = namespace or _meta(body, "namespace")
        call = Call(
            asked=_asked("create", what, namespace, _meta(body, "name")),
            method="POST",
            path=what.path(namespace),
            query={"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})},
            body=_typed(what, body),
        )
        return await self._answer(call, dict[str, Any])

    async def replace(self, what: Resource, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object that `metadata` names, as a whole; Conflict if it has changed since its `resourceVersion`."""
        namespace, name = _meta(body, "namespace"), _meta(body, "name")
        call = Call(
            asked=_asked("replace", what, namespace, name),
            method="PUT",
            path=what.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=_typed(what, body),
        )
        return await self._answer(call, dict[str, Any])

    async def patch(
        self,
        what: Resource,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        subresource: str = "",
        how: How = "merge",
    ) -> Mapping[str, Any]:
        """`how`: RFC 7386, RFC 6902, Kubernetes' own for its own kinds, or server-side apply (which may create)."""
        call = Call(
            asked=_asked("patch", what, namespace, name),
            method="PATCH",
            path=what.path(namespace, name, subresource),
            query={"fieldManager": FIELD_MANAGER, **({"force": "true"} if how == "apply" else {})},
            body=_named(_typed(what, body), namespace, name) if how == "apply" else body,
            content_type=_CONTENT_TYPES[how],
        )
        return await self._answer(call, dict[str, Any])

    async def delete(self, what: Resource, name: str, namespace: str = "") -> None:
        """What it owns goes after it. NotFound is raised."""
        call = Call(
            asked=_asked("delete", what, namespace, name),
            method="DELETE",
            path=what.path(namespace, name),
            query={"propagationPolicy": "Background"},
        )
        await self._connection.send(call)

    async def logs(self, namespace: str, pod: str, container: str, tail: int) -> str:
        """The last `tail` lines."""
        call = Call(
            asked=_asked("get logs of", PODS, namespace, pod),
            path=PODS.path(namespace, pod, "log"),
            query={"container": container, "tailLines": str(tail)},
        )
        return (await self._connection.send(call)).decode(errors="replace")

    async def version(self) -> tuple[int, int]:
        """The server's, such as (1, 35)."""
        said = await self._answer(Call(asked="get version", path="/version"), dict[str, str])
        found = re.match(r"v(\d+)\.(\d+)", said.get("gitVersion", ""))
        return (int(found[1]), int(found[2])) if found else (0, 0)

    async def may(self, verb: str, what: Resource, namespace: str = "", name: str = "") -> bool:
        """Whether we have the permission, by the server's own judgement."""
        attributes = {"verb": verb, "group": what.group, "resource": what.plural, "namespace": namespace, "name": name}
        call = Call(
            asked=f"ask whether we may {verb} {what}",
            method="POST",
            path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        answer = await self._answer(call, dict[str, Any])
        return bool(answer.get("status", {}).get("allowed"))

    async def listing(self, of: Selection, *, page: int = PAGE) -> Listing:
        """All objects as they are now, in pages. Raises Gone if the server forgot the list while it was read."""
        items: list[Raw] = []
        asked, path, query = _asked("list", of.what, of.namespace), of.what.path(of.namespace), of.query
        query["limit"] = str(page)
        accept = METADATA_LIST if of.metadata_only else WHOLE
        while True:
            answer = await self._answer(Call(asked=asked, path=path, query=dict(query), accept=accept), _List)
            items += answer.items or ()
            if not answer.metadata.next_page:
                return Listing(items=tuple(items), version=answer.metadata.resource_version)
            query["continue"] = answer.metadata.next_page

    def watching(
        self, of: Selection, version: str, *, for_s: float, idle_s: float
    ) -> AsyncGenerator[tuple[bytes, ...], None]:
        """What happens after `version`, a JSON line an event, bookmarks included; the server ends it after `for_s`.

        The first that comes is empty: the server has begun.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(for_s))),
            **of.query,
        }
        call = Call(
            asked=_asked("watch", of.what, of.namespace),
            path=of.what.path(of.namespace),
            query=query,
            accept=METADATA if of.metadata_only else WHOLE,
        )
        return self._connection.lines(call, idle_s=idle_s)

    async def _answer(self, call: Call, kind: type[T]) -> T:
        return _read(call.asked, await self._connection.send(call), kind)


@asynccontextmanager
async def connected(kubeconfig: str = "", context: str = "") -> AsyncIterator[Cluster]:
    """By `kubeconfig`, else $KUBECONFIG, else ~/.kube/config, else as the pod that we are. Raises NoCluster.

    Nothing is sent yet: a server that is away shows at the first request, as Unreachable.
    """
    async with opened(await access(kubeconfig, context)) as connection:
        yield Cluster(connection)


def _read(asked: str, body: bytes | Raw, kind: type[T]) -> T:
    try:
        return decode(body, kind)
    except msgspec.MsgspecError as error:
        raise ApiError(
            f"{asked}: the answer is not what was asked for: {error}", status=200, reason="Unread"
        ) from error


def _asked(verb: str, what: Resource, namespace: str = "", name: str = "") -> str:
    where = "/".join(part for part in (namespace, name) if part)
    return f"{verb} {what} {where}".rstrip()


def _meta(body: Mapping[str, Any], field: str) -> str:
    return str(body.get("metadata", {}).get(field, ""))


def _named(body: Mapping[str, Any], namespace: str, name: str) -> Mapping[str, Any]:
    """Server-side apply wants the name in the body too."""
    where = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {**body, "metadata": {**body.get("metadata", {}), **where}}


def _typed(what: Resource, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whoever names the kind need not write it into the body again."""
    return {"apiVersion": what.api_version, "kind": what.kind, **body}

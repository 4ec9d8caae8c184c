"""Reviews of one pod, and an API server of a few lines that knows its namespace."""

import json
from typing import Any

from osm.k8s.errors import ApiError
from osm.k8s.objects import Namespace, ObjectMeta
from tests.golden.injector import cases


class OneNamespace:
    """Of a cluster, what is asked for here."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.asked: list[str] = []
        self._error = error

    async def get(self, _what: object, name: str, **_: object) -> Namespace:
        self.asked.append(name)
        if self._error is not None:
            raise self._error
        labels = {"openservicemesh.io/monitored-by": "osm"}
        return Namespace(metadata=ObjectMeta(name=name, labels=labels, annotations=cases.ENABLED))


def review(**changes: Any) -> bytes:
    """Of a pod that is made in `shop`; `changes` are the request's."""
    request = {
        "uid": "7",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web"}]}},
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | changes}
    return json.dumps(body).encode()

"""What outages are told by: what shoppers were answered, when a change is live, why there are no pods."""

import json
import time
from collections import Counter

from tests.cluster.bookshop import Bookshop, served_by
from tests.cluster.node import Cluster

STORES = ("bookstore-v1", "bookstore-v2")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: alone, labels: {app: alone}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: alone
      image: openservicemesh/demo:latest
      imagePullPolicy: IfNotPresent
      command: [python3, -m, http.server]
---
apiVersion: v1
kind: Service
metadata: {name: alone}
spec: {selector: {app: alone}, ports: [{name: http, port: 8000}]}
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: confined}
spec:
  selector: {matchLabels: {app: confined}}
  template:
    metadata: {labels: {app: confined}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: confined
          image: openservicemesh/demo:latest
          imagePullPolicy: IfNotPresent
          command: [python3, -m, http.server]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
"""One that Pod Security level `restricted` lets in."""

MISPLACED = """
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: misplaced, namespace: bookthief}
spec:
  destination: {kind: ServiceAccount, name: bookstore-v1, namespace: bookstore}
  rules: [{kind: HTTPRouteGroup, name: bookstore-routes}]
  sources: [{kind: ServiceAccount, name: bookthief, namespace: bookthief}]
"""
"""A thief's wish: the owner of the store has not said so."""


def answers(shop: Bookshop, shopper: str) -> Counter[str]:
    """How often a shopper was answered how, since it began."""
    said = shop.raw(shopper)
    return Counter({**said["statuses"], **said["errors"]})


def change_is_live(cluster: Cluster, shop: Bookshop) -> float:
    """Send all requests to the store that gets the fewer, and wait until it answers. Seconds; raises Failed."""
    path = "jsonpath={.spec.backends[0].weight}"
    was = cluster.kubectl("get", "trafficsplit", "bookstore-split", "--namespace=bookstore", f"--output={path}")
    first = int(was) < 50
    backends = [{"service": store, "weight": 100 * (first == (store == STORES[0]))} for store in STORES]
    began = time.monotonic()
    patch = json.dumps({"spec": {"backends": backends}})
    cluster.kubectl(
        *("patch", "trafficsplit", "bookstore-split", "--namespace=bookstore", "--type=merge", f"--patch={patch}")
    )
    other = shop.first("bookbuyer", served_by(STORES[0] if first else STORES[1]))
    # what it was before is over, not only mixed with the new
    shop.first("bookbuyer", lambda burst: not burst.identities.get(STORES[1] if first else STORES[0]))
    return other - began


def why_none(cluster: Cluster, namespace: str, deployment: str) -> str:
    """Why a Deployment has no pod, in its own words; empty if it does not say."""
    path = 'jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].message}'
    return cluster.kubectl("get", "deployment", deployment, f"--namespace={namespace}", f"--output={path}")

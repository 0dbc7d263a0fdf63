"""All measurements, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.measures import (
    bombs,
    burst,
    forward_auth,
    gateway_faults,
    hit,
    networks,
    overload,
    peers,
    render,
    restart,
    revocation_live,
    revocations,
    rotation,
    single_use,
    slow,
    store_faults,
    stream,
    verify,
    wall,
    zero_trust_hit,
)
from benchmarks.result import Result
from benchmarks.setting import Setting

MEASURES: Mapping[str, Callable[[Setting], Result]] = {
    "render": render.measure,
    "hit": hit.measure,
    "forward_auth": forward_auth.measure,
    "verify": verify.measure,
    "revocations": revocations.measure,
    "networks": networks.measure,
    "rotation": rotation.measure,
    "burst": burst.measure,
    "peers": peers.measure,
    "stream": stream.measure,
    "bombs": bombs.measure,
    "wall": wall.measure,
    "slow": slow.measure,
    "restart": restart.measure,
    "overload": overload.measure,
    "revocation_live": revocation_live.measure,
    "single_use": single_use.measure,
    "store_faults": store_faults.measure,
    "gateway_faults": gateway_faults.measure,
    "zero_trust_hit": zero_trust_hit.measure,
}

"""What all rows share: their form, and where a network is cut."""

from __future__ import annotations

from precond.network import Network

Line = tuple[str, str, str, str]
"""Method, published, ours, why it differs."""
NOT = "not measured"


def last_layer(network: Network, kind: str) -> str:
    return [node.name for node in network.nodes if type(node.layer).__name__ == kind][-1]

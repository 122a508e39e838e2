"""Minimum cuts against all cuts of small graphs."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import pytest

from dsl.ad.mincut import INFINITE, Network

Edge = tuple[int, int, int]


def cut(edges: list[Edge], side: set[int]) -> int:
    return sum(capacity for start, end, capacity in edges if start not in side and end in side)


@pytest.mark.parametrize("seed", range(60))
def test_no_cut_is_cheaper_and_none_as_cheap_is_smaller(seed: int) -> None:
    random = Random(seed)
    n = random.randint(3, 7)
    capacities = [0, 1, 1, 2, 3, 5, INFINITE]
    edges = [(a, b, random.choice(capacities)) for a in range(n) for b in range(n) if a != b and random.random() < 0.5]
    edges = [e for e in edges if e[:2] != (0, 1)]
    inner = range(2, n)
    sides = [{1, *rest} for size in range(len(inner) + 1) for rest in combinations(inner, size)]
    cheapest = min(cut(edges, side) for side in sides)
    if cheapest >= INFINITE:
        return
    network = Network()
    for _ in range(n):
        network.node()
    for edge in edges:
        network.edge(*edge)
    side = network.sink_side(0, 1)
    assert cut(edges, side) == cheapest
    assert all(side <= other for other in sides if cut(edges, other) == cheapest)


def test_a_long_chain_does_not_recurse() -> None:
    network = Network()
    nodes = [network.node() for _ in range(20_000)]
    for k, (a, b) in enumerate(pairwise(nodes)):
        network.edge(a, b, 1 if k == 10_000 else 2)
    assert network.sink_side(nodes[0], nodes[-1]) == set(nodes[10_001:])


def test_many_ways_beside_each_other_take_linear_time() -> None:
    """Each is filled once; to look through those that are full again would take hours."""
    network = Network()
    source, sink = network.node(), network.node()
    for _ in range(100_000):
        a, b = network.node(), network.node()
        network.edge(source, a, 1)
        network.edge(a, b, 2)
        network.edge(b, sink, INFINITE)
    assert len(network.sink_side(source, sink)) == 200_001

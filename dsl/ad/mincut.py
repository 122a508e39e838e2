"""Minimum cuts of small directed graphs: the cheapest edges to take out so that no path leads from source to sink.

Y. Dinitz, "Algorithm for solution of a problem of maximum flow in networks with power estimation" (1970): flow is sent
along shortest paths with room left, one layering of the graph after the other, until there is none.
"""

from __future__ import annotations

from collections import deque

INFINITE = 1 << 60  # a capacity that no cut contains


class Network:
    """Nodes are numbers from 0 on; edges have whole capacities."""

    def __init__(self) -> None:
        self._edges: list[list[int]] = []  # of each node; edge e leads to _to[e], and e ^ 1 is the same edge back
        self._to: list[int] = []
        self._room: list[int] = []

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, start: int, end: int, capacity: int) -> None:
        self._edges[start].append(len(self._to))
        self._edges[end].append(len(self._to) + 1)
        self._to += (end, start)
        self._room += (capacity, 0)

    def sink_side(self, source: int, sink: int) -> set[int]:
        """The nodes behind the minimum cut that is nearest to the sink. Needs a cut of finite capacity."""
        while (levels := self._levels(source, sink)) is not None:
            self._fill(levels, source, sink)
        side, work = {sink}, [sink]
        while work:
            for e in self._edges[work.pop()]:
                if self._room[e ^ 1] and self._to[e] not in side:
                    side.add(self._to[e])
                    work.append(self._to[e])
        assert source not in side
        return side

    def _levels(self, source: int, sink: int) -> list[int] | None:
        """Each node's distance to the sink along edges with room (-1: no way); None where the source has no way."""
        levels = [-1] * len(self._edges)
        levels[sink] = 0
        work = deque([sink])
        while work:
            at = work.popleft()
            for e in self._edges[at]:
                if self._room[e ^ 1] and levels[self._to[e]] < 0:
                    levels[self._to[e]] = levels[at] + 1
                    work.append(self._to[e])
        return levels if levels[source] >= 0 else None

    def _fill(self, levels: list[int], source: int, sink: int) -> None:
        """Send flow along paths of falling levels until each has an edge without room."""
        to, room = self._to, self._room
        tried = [0] * len(self._edges)  # how many edges of each node lead nowhere
        path: list[int] = []  # edges from the source on
        at = source
        while True:
            if at == sink:
                sent = min(room[e] for e in path)
                for e in path:
                    room[e] -= sent
                    room[e ^ 1] += sent
                full = next(i for i, e in enumerate(path) if not room[e])
                at = to[path[full] ^ 1]
                del path[full:]
            edges, k = self._edges[at], tried[at]
            while k < len(edges) and not (room[edges[k]] and levels[to[edges[k]]] == levels[at] - 1):
                k += 1
            tried[at] = k
            if k < len(edges):
                path.append(edges[k])
                at = to[edges[k]]
            elif path:
                levels[at] = -1
                at = to[path.pop() ^ 1]
            else:
                return

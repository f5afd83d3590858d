"""What analogs are looked for among."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.spatial import KDTree
from torch import Tensor

_TREE_DIMENSIONS = 10
"""Beyond that a tree visits all states anyway."""
_DISTANCES = 20_000_000
"""That are held at once, where everything is searched: 160 MB."""


@dataclass(frozen=True)
class Pool:
    """States, or windows of them, and what came after.

    Attributes
    ----------
    near
        What queries are compared with (m, width).
    after
        The values that followed (m, values).
    """

    near: Tensor
    after: Tensor

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.near.numpy())

    def nearest(self, queries: Tensor, count: int) -> Tensor:
        """Return the numbers (batch, count) of the nearest to each query (batch, width)."""
        if queries.shape[1] <= _TREE_DIMENSIONS and queries.device.type == "cpu":
            _, index = self._tree.query(queries.numpy(), k=range(1, count + 1), workers=torch.get_num_threads())
            return torch.from_numpy(index)
        parts = torch.split(queries, max(1, _DISTANCES // len(self.near)))
        return torch.cat([torch.cdist(part, self.near).topk(count, largest=False).indices for part in parts])


def windows(states: Tensor, reach: int | None) -> Tensor:
    """Return what is compared of states (time, site), (time, window, width).

    The states within ``reach`` sites of each site of a ring; one window of all sites, in their order, for ``None``.
    """
    if reach is None:
        return states[:, None]
    sites = torch.arange(states.shape[1], device=states.device)
    beside = torch.arange(-reach, reach + 1, device=states.device)
    return states[:, (sites[:, None] + beside) % len(sites)]

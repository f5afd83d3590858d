"""Observations of a state over time: which components, when, how precise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Observed:
    """What is observed at one time.

    Parameters
    ----------
    values
        Shape ``(..., m)``, 0 where nothing is observed.
    mask
        Same shape, true where there is an observation.
    variance
        Same shape, variance of the error, 1 where nothing is observed.
    components
        Component of the state behind each of the ``m``; ``None`` where all are observed in order.
    """

    values: Tensor
    mask: Tensor
    variance: Tensor
    components: Tensor | None

    def of(self, states: Tensor) -> Tensor:
        """Return the components of states ``(..., n)`` that are observed: ``(..., m)``."""
        return states if self.components is None else states[..., self.components]


@dataclass(frozen=True)
class Observations:
    """Observations of components of a state at times 0, 1, ... of the forecast operator.

    Sites that stay the same are best given as ``components``, those that differ from time to time as a ``mask`` over
    all of them. Errors are independent of each other.

    Parameters
    ----------
    values
        Shape ``(..., T, m)``; leading dimensions are a batch. Anything, even NaN, where the mask is false.
    variance
        Variance of the error: a number, or a tensor that broadcasts to the shape of the values.
    components
        Component of the state behind each of the ``m``, shape ``(m,)``; ``None``: all, in order.
    mask
        True where there is an observation, broadcasts to the shape of the values; ``None``: everywhere.

    Raises
    ------
    ValueError
        If shapes do not fit, a variance is not positive, or an observed value is not finite.
    """

    values: Tensor
    variance: float | Tensor
    components: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.values.ndim < 2 or not self.values.is_floating_point():
            raise ValueError(
                f"values of shape {tuple(self.values.shape)}: expected real numbers (..., time, component)"
            )
        for name in ("variance", "mask"):
            given = torch.as_tensor(1.0 if getattr(self, name) is None else getattr(self, name))
            try:
                given.expand(self.values.shape)
            except RuntimeError:
                shapes = f"shape {tuple(given.shape)} does not fit values of shape {tuple(self.values.shape)}"
                raise ValueError(f"{name}: {shapes}") from None
        if self.components is not None and self.components.shape != self.values.shape[-1:]:
            raise ValueError(f"{self.components.numel()} components for {self.values.shape[-1]} values at each time")
        if not bool(torch.isfinite(self.known).all()):
            raise ValueError("an observed value is not finite: leave it out by the mask")
        if not bool((self.errors > 0).all()):
            raise ValueError("the variance of an observation is not positive")

    def until(self, steps: int) -> Observations:
        """Return those of the first so many times."""
        every = (..., slice(steps), slice(None))
        return Observations(self.values[every], self._variances[every], self.components, self.seen[every])

    @cached_property
    def seen(self) -> Tensor:
        """The mask in the shape of the values."""
        if self.mask is None:
            return torch.ones_like(self.values, dtype=torch.bool)
        return self.mask.to(torch.bool).expand(self.values.shape)

    @property
    def errors(self) -> Tensor:
        """The variances in the shape of the values, 1 where nothing is observed."""
        return torch.where(self.seen, self._variances, 1.0)

    @property
    def known(self) -> Tensor:
        """The values, 0 where nothing is observed."""
        return torch.where(self.seen, self.values, 0.0)

    @property
    def _variances(self) -> Tensor:
        given = torch.as_tensor(self.variance, dtype=self.values.dtype, device=self.values.device)
        return given.expand_as(self.values)

    @property
    def steps(self) -> int:
        """Number of times."""
        return self.values.shape[-2]

    def batch(self, other: torch.Size) -> torch.Size:
        """Return the leading dimensions, broadcast against others."""
        shape: torch.Size = torch.broadcast_shapes(self.values.shape[:-2], other)  # type: ignore[no-untyped-call]
        return shape

    def times(self) -> list[bool]:
        """Return for each time whether anything is observed in any part of the batch."""
        found: list[bool] = self.seen.any(-1).reshape(-1, self.steps).any(0).tolist()
        return found

    def at(self, time: int) -> Observed:
        """Return what is observed at a time."""
        # One time is cut out first: a long run would copy all of it at each.
        values, mask, variance = (whole[..., time, :] for whole in (self.values, self.seen, self._variances))
        return Observed(torch.where(mask, values, 0.0), mask, torch.where(mask, variance, 1.0), self.components)

    def on_state(self, size: int) -> tuple[Tensor, Tensor]:
        """Return values and mask on all components of the state.

        Parameters
        ----------
        size
            Number of components n.

        Returns
        -------
        tuple of Tensor
            Values, 0 where nothing is observed, and mask, both ``(..., T, n)``.

        Raises
        ------
        ValueError
            If there are components beyond the size, or one is given twice.
        """
        values, components = self.known, self.components_of(size)
        if len(set(components.tolist())) != components.numel():
            raise ValueError("a component is given twice: there is no one value for it")
        empty = values.new_zeros(*values.shape[:-1], size)
        return empty.index_copy(-1, components, values), empty.bool().index_copy(-1, components, self.seen)

    def components_of(self, size: int) -> Tensor:
        """Return the observed components of a state with so many; raise ValueError if there are others."""
        if self.components is None:
            if self.values.shape[-1] != size:
                raise ValueError(f"{self.values.shape[-1]} values at each time, but the state has {size} components")
            return torch.arange(size, device=self.values.device)
        if bool(((self.components < 0) | (self.components >= size)).any()):
            raise ValueError(f"components {self.components.tolist()}: the state has 0 to {size - 1}")
        return self.components

"""Steps of a trained network along the frames that arrive while it forecasts."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


class OnlineTraining:
    """Weights that follow what arrives, by AdaGrad, one window a step (Shi et al. 2017, arXiv:1706.03458).

    The network stays in evaluation mode: nothing is dropped, and running statistics are those of the training, so that
    equal frames give equal weights.

    Parameters
    ----------
    network
        Trained; its weights are changed in place.
    loss
        Of its output against true frames.
    learning_rate
        Of AdaGrad.
    gradient_clip
        Largest norm of the gradients; ``None`` for any.
    """

    def __init__(self, network: nn.Module, loss: Loss, *, learning_rate: float, gradient_clip: float | None) -> None:
        self._network, self._loss = network.eval(), loss
        self._learning_rate, self._gradient_clip = learning_rate, gradient_clip
        self._trained = copy.deepcopy(network.state_dict())
        self.restart()

    def restart(self) -> None:
        """Go back to the trained weights, and forget the gradients that were seen."""
        self._network.load_state_dict(self._trained)
        self._optimizer = torch.optim.Adagrad(self._network.parameters(), lr=self._learning_rate)

    def step(self, seen: Tensor, future: Tensor) -> None:
        """Make one step from a window.

        Parameters
        ----------
        seen
            What the network sees, with the axis of the batch.
        future
            What followed it; NaN where that is not known.
        """
        self._optimizer.zero_grad()
        with torch.enable_grad():
            torch.autograd.backward(self._loss(self._network(seen), future))
        if self._gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._gradient_clip)
        self._optimizer.step()

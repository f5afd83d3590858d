"""What the cards of the networks of one paper share: TrajGRU, ConvGRU and the convolutions they were compared with."""

from __future__ import annotations

from typing import Any

from pipeline_lib.models.base import Fact

PAPER: dict[str, Any] = {
    "task": "nowcasting",
    "citation": (
        "Shi, X., Gao, Z., Lausen, L., Wang, H., Yeung, D.-Y., Wong, W.-K., Woo, W.-C.: Deep Learning for"
        " Precipitation Nowcasting: A Benchmark and A New Model. NIPS 2017"
    ),
    "year": 2017,
    "arxiv": "1706.03458",
    "licence": "Networks written anew from layer lists; the authors' code (MIT) is not used.",
}

RECURRENT_RECIPE = (
    Fact(
        text="for HKO-7 trained by Adam with beta1 0.5 and a learning rate of 1e-4, times 0.7 every 20,000 steps, at"
        " least 1e-6; gradients of encoder and forecaster clipped to a norm of 50 each; 4 sequences a step, at most"
        " 100,000 steps",
        confidence="code",
    ),
    Fact(
        text="for MovingMNIST++ gradients are clipped to a norm of 1, and there are 200,000 steps on the squared error",
        confidence="code",
    ),
    Fact(
        text="initial weights are normal with the variance 2 / (1 + 0.2^2) / n of He et al. (2015), where n is the mean"
        " of a layer's inputs and outputs, each times the cells of its kernel; biases start at zero",
        confidence="code",
    ),
)

RECURRENT_LIMITS = (
    "What it forecasts blurs as lead time grows.",
    "Gradients are clipped by one norm of the whole network; the public code clips those of encoder and forecaster"
    " each by itself, in training and online.",
    "The public code can let later leads count for more (linearly or exponentially, up to 5) and add a term of"
    " differences of gradients to the loss, both off by default: neither is here.",
)

"""EddyNet and EddyNet_S against the published counts and against Keras semantics written out from the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.models.dropout import AlphaDropout, Dropout
from pipeline_lib.models.keras import UpConv2d, initialise
from pipeline_lib.models.registry import MODELS
from tests.models.keras_counts import keras_parameter_count

NAMES = ("eddynet", "eddynet_s")


def build(name, channels=1, **options):
    model = MODELS.get(name)
    torch.manual_seed(0)
    return model.build(model.Options(**options), in_channels=channels, classes=3)


@pytest.mark.parametrize(
    ("name", "channels", "count"),
    [("eddynet", 1, 178_595), ("eddynet_s", 1, 177_571), ("eddynet", 4, 179_459)],
)
def test_parameter_count_is_that_of_the_released_weights(name, channels, count):
    assert keras_parameter_count(build(name, channels)) == count
    if channels == 1:
        assert MODELS.get(name).card.parameters.total == count


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(128, 128), (128, 344), (8, 16)])
def test_logits_have_the_size_of_the_input(name, size):
    net = build(name).eval()
    with torch.no_grad():
        logits = net(torch.randn(2, 1, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    net = build(name).train()
    net(torch.randn(2, 1, 32, 32)).square().sum().backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        # A bias in front of a batch normalisation with statistics of the batch still acts through the ReLU.
        assert parameter.grad.abs().max() > 0, label


def keras_transposed(x, weight, bias):
    """Keras Conv2DTranspose(3, strides 2, "same"): the transpose of a strided "same" convolution, by loops.

    That convolution maps 2n cells to n and pads (n - 1) * 2 + 3 - 2n = 1 cell, all of it at the end; so output
    cell i reads inputs 2i, 2i+1, 2i+2, and the transpose sends cell i there.
    """
    n, _, h, w = x.shape
    out = np.zeros((n, weight.shape[1], 2 * h + 1, 2 * w + 1))
    for i in range(h):
        for j in range(w):
            for a in range(3):
                for b in range(3):
                    out[:, :, 2 * i + a, 2 * j + b] += x[:, :, i, j] @ weight[:, :, a, b]
    return out[:, :, :-1, :-1] + bias[None, :, None, None]


def keras_conv(x, weight, bias):
    """A 3x3 (or 1x1) "same" convolution by loops."""
    k = weight.shape[-1]
    n, _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.zeros((n, weight.shape[0], h, w))
    for a in range(k):
        for b in range(k):
            out += np.einsum("nchw,oc->nohw", padded[:, :, a : a + h, b : b + w], weight[:, :, a, b])
    return out + bias[None, :, None, None]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_transposed_convolution_is_aligned_as_in_keras(h, w, c_in, c_out, seed):
    torch.manual_seed(seed)
    layer = UpConv2d(c_in, c_out).double()
    x = torch.randn(2, c_in, h, w, dtype=torch.float64)
    expected = keras_transposed(x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy())
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-12)


class Reference:
    """The whole network in NumPy from a state dict, evaluation mode, as the layer list of the publication reads."""

    def __init__(self, net, self_normalising):
        self.layers = list(net.modules())
        self.convs = iter([m for m in self.layers if isinstance(m, torch.nn.Conv2d)])
        self.ups = iter([m for m in self.layers if isinstance(m, UpConv2d)])
        self.s = self_normalising
        self.net = net

    def act(self, x):
        if not self.s:
            return np.maximum(x, 0)
        alpha, scale = 1.6732632423543772, 1.0507009873554805
        return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))

    def norm(self, x, layer):
        p = {k: v.numpy()[None, :, None, None] for k, v in layer.state_dict().items() if v.ndim == 1}
        return (x - p["running_mean"]) / np.sqrt(p["running_var"] + 1e-3) * p["weight"] + p["bias"]

    def stage(self, x, modules, *, first_norm=False):
        convs = [m for m in modules if isinstance(m, torch.nn.Conv2d)]
        norms = iter([m for m in modules if isinstance(m, torch.nn.BatchNorm2d)])
        if first_norm:
            x = self.norm(x, next(norms))
        for conv in convs:
            x = self.act(keras_conv(x, conv.weight.detach().numpy(), conv.bias.detach().numpy()))
            if not self.s:
                x = self.norm(x, next(norms))
        return x

    def __call__(self, x):
        skips = []
        for encoder, pool in zip(self.net.encoders, self.net.pools, strict=True):
            x = self.stage(x, list(encoder))
            skips.append(x)
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
            if self.s:
                x = self.norm(x, pool[1])
        x = self.stage(x, list(self.net.centre))
        for up, decoder in zip(self.net.ups, self.net.decoders, strict=True):
            conv = up[0]
            x = self.act(keras_transposed(x, conv.weight.detach().numpy(), conv.bias.detach().numpy()))
            if self.s:
                x = self.norm(x, up[2])
            x = self.stage(np.concatenate([x, skips.pop()], axis=1), list(decoder), first_norm=True)
        return keras_conv(x, self.net.head.weight.detach().numpy(), self.net.head.bias.detach().numpy())


@pytest.mark.parametrize("name", NAMES)
def test_forward_pass_equals_one_written_from_the_layer_list(name):
    net = build(name, channels=2, filters=4).double().eval()
    for layer in net.modules():  # statistics and scales that would show a missing or misplaced normalisation
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
            torch.nn.init.normal_(layer.weight)
            torch.nn.init.normal_(layer.bias)
    for parameter in net.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    x = torch.randn(2, 2, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(net(x).numpy(), Reference(net, name == "eddynet_s")(x.numpy()), atol=1e-9)


def test_dropout_sits_where_the_publication_has_it():
    def places(name, kind):
        net = build(name)
        return {label for label, module in net.named_modules() if type(module) is kind}

    assert len(places("eddynet", Dropout)) == 8  # one per stage, one more inside the third encoder
    assert len({label for label in places("eddynet", Dropout) if label.startswith("encoders.2.")}) == 2
    assert len(places("eddynet_s", AlphaDropout)) == 6  # none in the last decoder
    assert not any(label.startswith("decoders.2.") for label in places("eddynet_s", AlphaDropout))


@pytest.mark.parametrize(("scheme", "variance"), [("he_normal", 2.0), ("lecun_normal", 1.0)])
def test_initial_weights_have_the_variance_and_the_cut_of_keras(scheme, variance):
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(64, 256, 3)
    initialise(layer, scheme)
    weight = layer.weight.detach()
    expected = variance / (64 * 9)
    assert weight.var().item() == pytest.approx(expected, rel=0.02)
    assert weight.abs().max().item() <= 2 * expected**0.5 / 0.87962566103423978 * 1.0001
    assert layer.bias.abs().max() == 0


def test_glorot_weights_are_uniform_within_their_limit():
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(64, 256, 3)
    initialise(layer, "glorot_uniform")
    limit = (6 / (320 * 9)) ** 0.5
    assert limit * 0.99 < layer.weight.abs().max().item() <= limit
    assert layer.weight.var().item() == pytest.approx(limit**2 / 3, rel=0.02)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_dropout_keeps_the_mean_and_drops_its_share(share):
    torch.manual_seed(0)
    y = Dropout(share)(torch.ones(8, 16, 64, 65).to(memory_format=torch.channels_last))
    n = y.numel()
    assert (y == 0).double().mean().item() == pytest.approx(share, abs=5 * (share * (1 - share) / n) ** 0.5)
    assert y.max().item() == pytest.approx(1 / (1 - share))
    # No pattern along any axis: the shares per channel, row and column scatter as independent draws do.
    for dims in ((0, 2, 3), (0, 1, 3), (0, 1, 2)):
        shares = (y == 0).double().mean(dim=dims)
        expected = (share * (1 - share) * shares.numel() / n) ** 0.5
        assert shares.std().item() == pytest.approx(expected, rel=0.6)


def test_alpha_dropout_keeps_mean_and_variance_of_a_unit_normal():
    torch.manual_seed(0)
    y = AlphaDropout(0.05)(torch.randn(8, 16, 64, 64))
    assert y.mean().item() == pytest.approx(0, abs=0.01)
    assert y.std().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", [Dropout, AlphaDropout])
def test_dropout_does_nothing_when_not_training(kind):
    x = torch.randn(3, 4)
    assert torch.equal(kind(0.5).eval()(x), x)

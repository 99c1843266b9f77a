"""Writes network pickles in the published StyleGAN2-ADA format from our own generators.

The format, not the code: every module is a call of ``torch_utils.persistence._reconstruct_persistent_obj``
on a dict of class name, source text and state; tensors are written by torch itself. The modules that the
pickle names exist only while it is written.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from syper_data.errors import InputError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.convert import convert
from syper_data.gan.generator import Generator
from syper_data.gan.layers import fir_kernel

SOURCE_TEXT = "# source text of the network's classes\nraise SystemExit('module_src was executed')\n"
_OLD_KEYS = (
    "_backward_hooks",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)
_NEW_KEYS = (
    *_OLD_KEYS,
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


TINY: dict[str, Any] = {
    "resolution": 16, "z_dim": 5, "w_dim": 6, "mapping_layers": 2, "channel_base": 64, "channel_max": 8
}  # fmt: skip


def random_generator(seed: int = 0, **architecture: Any) -> Generator:
    """A generator with every weight random: biases, noise strengths and ``w_avg`` too."""
    torch.manual_seed(seed)
    generator = Generator(GeneratorConfig(**architecture)).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        if name.endswith(("bias", "noise_strength", "w_avg")):
            tensor.add_(torch.randn_like(tensor) * (10.0 if ".fc" in name else 0.3))
    return generator


def random_images(generator: Generator, psi: float, count: int = 2) -> torch.Tensor:
    """Images of a few fixed seeds, constant noise.  # float32 [count, channels, r, r]"""
    config = generator.config
    z = torch.from_numpy(np.random.RandomState(7).randn(count, config.z_dim)).float()
    c = torch.eye(config.c_dim)[torch.arange(count) % config.c_dim] if config.c_dim else None
    with torch.no_grad():
        images: torch.Tensor = generator(z, c, psi=psi, noise_mode="const")
    return images


class PublishedModule:
    """One module of a published network; ``state`` is what the published code keeps as attributes."""

    def __init__(self, class_name: str, *, source: str = SOURCE_TEXT, era: str = "new", **attributes: Any) -> None:
        self.class_name = class_name
        self.source = source
        group = dict if era == "new" else OrderedDict  # torch 2 keeps plain dicts
        self.state: dict[str, Any] = {"training": False, "_parameters": group(), "_buffers": group()}
        self.state["_non_persistent_buffers_set"] = set()
        self.state.update({key: OrderedDict() for key in (_NEW_KEYS if era == "new" else _OLD_KEYS)})
        if era == "new":
            self.state["_is_full_backward_hook"] = None
        self.state["_modules"] = group()
        self.state.update(attributes)

    def __getitem__(self, path: str) -> PublishedModule:
        """The module at ``path`` below this one."""
        module = self
        for name in path.split("."):
            module = module.state["_modules"][name]
        return module

    def put(self, **values: Any) -> PublishedModule:
        """Add modules, parameters and buffers (tensors that need no gradient are buffers)."""
        for name, value in values.items():
            if isinstance(value, PublishedModule):
                self.state["_modules"][name] = value
            elif isinstance(value, torch.nn.Parameter):
                self.state["_parameters"][name] = value
            else:
                self.state["_buffers"][name] = value
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {"type": "class", "version": 6, "module_src": self.source, "class_name": self.class_name}
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return function, ({**meta, "state": self.state},)


def published_generator(generator: Generator, **shared: Any) -> PublishedModule:
    """The published module tree with our weights. ``shared`` goes to every module (``source``, ``era``)."""
    config = generator.config
    weights = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    taps = list(config.resample_filter)
    finest = config.block_resolutions[1:][::-1][: config.num_fp16_res]

    def module(class_name: str, **attributes: Any) -> PublishedModule:
        return PublishedModule(class_name, **shared, **attributes)

    def parameter(name: str) -> torch.nn.Parameter:
        return torch.nn.Parameter(weights[name], requires_grad=False)

    def dense(path: str, activation: str = "linear", rate: float = 1) -> PublishedModule:
        gain = rate / np.sqrt(weights[f"{path}.weight"].shape[1])
        made = module("FullyConnectedLayer", activation=activation, weight_gain=gain, bias_gain=rate)
        return made.put(weight=parameter(f"{path}.weight"), bias=parameter(f"{path}.bias"))

    def layer(path: str, resolution: int, up: int) -> PublishedModule:
        made = module(
            "SynthesisLayer",
            resolution=resolution,
            up=up,
            use_noise=True,
            activation="lrelu",
            conv_clamp=config.conv_clamp,
            padding=1,
            act_gain=np.sqrt(2),
        )
        made.put(affine=dense(f"{path}.affine"), resample_filter=fir_kernel(taps if up == 2 else (1, 3, 3, 1)))
        made.put(noise_const=weights[f"{path}.noise_const"])
        return made.put(**{key: parameter(f"{path}.{key}") for key in ("weight", "noise_strength", "bias")})

    mapping_kwargs = {"num_layers": config.mapping_layers}
    mapping = module("MappingNetwork", w_avg_beta=0.995, _init_args=(), _init_kwargs=mapping_kwargs)
    if config.c_dim:
        mapping.put(embed=dense("mapping.embed"))
    for i in range(config.mapping_layers):
        mapping.put(**{f"fc{i}": dense(f"mapping.fc{i}", "lrelu", 0.01)})
    mapping.put(w_avg=weights["mapping.w_avg"])

    kwargs: dict[str, Any] = {"channel_base": config.channel_base, "channel_max": config.channel_max}
    kwargs.update(num_fp16_res=config.num_fp16_res, conv_clamp=config.conv_clamp)
    if taps != [1, 3, 3, 1]:
        kwargs["resample_filter"] = taps
    synthesis = module("SynthesisNetwork", _init_args=(), _init_kwargs=kwargs)
    for r in config.block_resolutions:
        path = f"synthesis.b{r}"
        block = module("SynthesisBlock", architecture="skip", use_fp16=r in finest, resolution=r)
        block.put(resample_filter=fir_kernel(taps))
        if r == 4:
            block.put(const=parameter(f"{path}.const"))
        else:
            block.put(conv0=layer(f"{path}.conv0", r, up=2))
        block.put(conv1=layer(f"{path}.conv1", r, up=1))
        torgb = module(
            "ToRGBLayer", conv_clamp=config.conv_clamp, weight_gain=1 / np.sqrt(config.channels(r))
        ).put(affine=dense(f"{path}.torgb.affine"))
        torgb.put(weight=parameter(f"{path}.torgb.weight"), bias=parameter(f"{path}.torgb.bias"))
        synthesis.put(**{f"b{r}": block.put(torgb=torgb)})
    root = module("Generator", z_dim=config.z_dim, c_dim=config.c_dim, _init_args=(), _init_kwargs={})
    return root.put(synthesis=synthesis, mapping=mapping)


def network_pickle(
    generator: Generator,
    *,
    protocol: int = 4,
    edit: Callable[[dict[str, Any]], None] | None = None,
    **shared: Any,
) -> bytes:
    """A network pickle: G_ema with our weights, other networks that a reader has to skip.

    ``edit`` may change the dict before it is written.
    """
    with published_code():
        networks: dict[str, Any] = {
            "G": published_generator(generator, **shared),
            "D": PublishedModule("Discriminator", **shared).put(weight=torch.zeros(3, dtype=torch.float16)),
            "G_ema": published_generator(generator, **shared),
            "training_set_kwargs": sys.modules["dnnlib.util"].EasyDict(path="images.zip", use_labels=True),
            "augment_pipe": PublishedModule("AugmentPipe", xflip=1.0, bands=np.arange(4.0), **shared),
        }
        if edit:
            edit(networks)
        buffer = io.BytesIO()
        pickle.dump(networks, buffer, protocol)
    return buffer.getvalue()


@contextmanager
def published_code() -> Iterator[None]:
    """Modules of the names that published pickles use, for as long as one is written."""

    def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
        raise AssertionError("only written, never read")

    class EasyDict(dict[str, Any]):
        pass

    class Network:
        pass

    contents = {
        "torch_utils.persistence": _reconstruct_persistent_obj,
        "dnnlib.util": EasyDict,
        "dnnlib.tflib.network": Network,
    }
    before = dict(sys.modules)
    try:
        for path, value in contents.items():
            value.__module__, value.__qualname__ = path, value.__name__
            parts = path.split(".")
            for depth in range(1, len(parts) + 1):
                sys.modules.setdefault(".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
            setattr(sys.modules[path], value.__name__, value)
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("torch_utils", "dnnlib"):
                del sys.modules[name]


def edited_pickle(edit: Callable[[PublishedModule], Any], **architecture: Any) -> bytes:
    """A tiny network pickle of which ``edit`` changed the generator."""
    return network_pickle(
        random_generator(**{**TINY, **architecture}), edit=lambda networks: edit(networks["G_ema"])
    )


def conversion_refusal(folder: Path, data: bytes) -> str:
    """Why ``data`` isn't converted: one printable line that begins with its path; nothing is written."""
    source = folder / "network.pkl"
    source.write_bytes(data)
    with pytest.raises(InputError) as caught:
        convert(source, folder / "new" / "generator.safetensors")
    message = str(caught.value)
    assert message.startswith(f"{source}: ")
    assert message.isprintable()
    assert [path.name for path in folder.iterdir()] == ["network.pkl"]
    return message.removeprefix(f"{source}: ")

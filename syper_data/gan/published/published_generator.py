"""A published StyleGAN2-ADA generator, as a pickle describes it, turned into a ``Generator``.

The architecture is read from the tensors and from the modules' attributes; the arguments the network
was built with only settle what these leave open. Whatever this toolkit's generator would not compute
the same way is refused, with the module's name and the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from syper_data.errors import ConfigError
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.layers import LRELU_GAIN, fir_kernel
from syper_data.gan.published.network_pickle import PersistentObject
from syper_data.gan.published.refusal import quoted, refuse, shown
from syper_data.gan.published.stored_tensor import StoredTensor

_MAX_DEPTH = 4  # synthesis, block, layer, affine
_MAX_MODULES = 1000  # a 1024 px generator has some 100
_MAX_ENTRIES = 64  # modules, parameters or buffers of one module
_FILTER = "resample_filter"
_MAPPING_RATE = 0.01  # learning-rate multiplier of the mapping layers
_DEFAULT_WIDTHS = {"channel_base": 32768, "channel_max": 512}


@dataclass(frozen=True)
class _Module:
    """One module of the tree. ``path`` is its name, such as ``synthesis.b8.conv0``."""

    path: str
    class_name: str
    state: dict[Any, Any]

    @property
    def kwargs(self) -> dict[Any, Any]:
        """The keyword arguments it was built with."""
        kwargs = self.state.get("_init_kwargs")
        return kwargs if type(kwargs) is dict else {}

    def named(self, group: str) -> Iterator[tuple[str, Any]]:
        """Names and values of ``_parameters``, ``_buffers`` or ``_modules``, without the absent ones."""
        entries = self.state.get(group, {})
        if type(entries) is not dict or len(entries) > _MAX_ENTRIES:
            refuse(f"damaged: {group} of module {quoted(self.path)}")
        for name, value in entries.items():
            if type(name) is not str or "." in name or len(name) > 64:
                refuse(f"damaged: {shown(name)} among {group} of module {quoted(self.path)}")
            if value is not None:
                yield f"{self.path}.{name}" if self.path else name, value


def build_generator(root: PersistentObject, size: int) -> Generator:
    """The generator that ``root`` describes, in float32; ``size`` is that of its file in bytes.

    Raises:
        RefusalError: another kind of network, or tensors that are missing, extra, of the wrong shape
            or type, or not finite.
    """
    if root.class_name != "Generator":
        refuse(f"holds a network of class {quoted(root.class_name)}, not a StyleGAN2-ADA generator")
    modules = _flatten(_Module("", root.class_name, root.state))
    _check_kind(modules)
    tensors = {name: t for module in modules.values() for name, t in _tensors(module)}
    for module in modules.values():
        _check_module(module, tensors)
    try:
        config = _read_config(modules, tensors)
    except ConfigError as error:
        refuse(str(error))
    _check_filters(tensors, config)
    weights = {name: t for name, t in tensors.items() if not name.endswith(_FILTER)}
    if sum(math.prod(t.shape) for t in weights.values()) > size:
        refuse("its tensors together are far larger than the file")
    with torch.device("meta"):
        generator = Generator(config)
    generator.load_state_dict(_load(weights, generator.state_dict()), assign=True)
    generator.synthesis.restore_kernel()
    return generator.eval().requires_grad_(False)


def _flatten(root: _Module) -> dict[str, _Module]:
    """Every module by its path, parents first."""
    modules = {"": root}
    level = [root]
    for _ in range(_MAX_DEPTH):
        below = []
        for parent in level:
            for path, value in parent.named("_modules"):
                if type(value) is not PersistentObject:
                    refuse(f"{quoted(path)} is {shown(value)}, not a module of StyleGAN2-ADA")
                below.append(_Module(path, value.class_name, value.state))
                modules[path] = below[-1]
            if len(modules) > _MAX_MODULES:
                refuse(f"more than {_MAX_MODULES} modules: not a StyleGAN2-ADA generator")
        level = below
    if any(path for module in level for path, _ in module.named("_modules")):
        refuse("modules nested too deep for a StyleGAN2-ADA generator")
    return modules


def _tensors(module: _Module) -> Iterator[tuple[str, StoredTensor]]:
    for group in ("_parameters", "_buffers"):
        for name, value in module.named(group):
            if type(value) is not StoredTensor:
                refuse(f"{quoted(name)} is {shown(value)}, not a tensor")
            if not value.floating:
                refuse(f"tensor {quoted(name)} holds no floating-point numbers but {value.storage.element}")
            yield name, value


def _check_kind(modules: dict[str, _Module]) -> None:
    """Refuse other families of networks by the names of their modules."""
    synthesis = modules.get("synthesis")
    if synthesis is None or "mapping" not in modules:
        refuse("the generator has no mapping or no synthesis network: not StyleGAN2-ADA")
    if "synthesis.input" in modules:
        refuse("a StyleGAN3 generator; only StyleGAN2-ADA generators can be converted")
    for path, module in modules.items():
        wanted = _class_of(path)
        if wanted is None:
            refuse(f"module {quoted(path)} does not belong to a StyleGAN2-ADA generator")
        architecture = module.state.get("architecture", module.kwargs.get("architecture", "skip"))
        if architecture != "skip":
            refuse(f"{path}: architecture is {shown(architecture)}, this toolkit reads 'skip' only")
        if module.class_name != wanted:
            refuse(f"{path}: a module of class {quoted(module.class_name)}, not {wanted}")


_CLASSES = (
    (r"", "Generator"),
    (r"mapping", "MappingNetwork"),
    (r"synthesis", "SynthesisNetwork"),
    (r"synthesis\.b[1-9]\d{0,3}", "SynthesisBlock"),
    (r"synthesis\.b[1-9]\d{0,3}\.conv[01]", "SynthesisLayer"),
    (r"synthesis\.b[1-9]\d{0,3}\.torgb", "ToRGBLayer"),
    (
        r"(mapping\.(fc(\d|[1-9]\d)|embed)|synthesis\.b[1-9]\d{0,3}\.(conv[01]|torgb)\.affine)",
        "FullyConnectedLayer",
    ),
)


def _class_of(path: str) -> str | None:
    """The class that the module at ``path`` must have; None if there is no such module."""
    return next((name for pattern, name in _CLASSES if re.fullmatch(pattern, path, re.ASCII)), None)


def _check_module(module: _Module, tensors: dict[str, StoredTensor]) -> None:
    """Compare the attributes that decide what a layer computes; an absent one has its usual value."""
    wanted: dict[str, Any] = {}
    leaf = module.path.rpartition(".")[2]
    if module.class_name == "SynthesisLayer":
        wanted = {"use_noise": True, "activation": "lrelu", "act_gain": LRELU_GAIN, "padding": 1}
        wanted["up"] = 2 if leaf == "conv0" else 1
    elif module.class_name == "FullyConnectedLayer":
        mapped = leaf.startswith("fc")
        weight = _shape(tensors, f"{module.path}.weight", 2)
        rate = _MAPPING_RATE if mapped else 1.0
        wanted = {"activation": "lrelu" if mapped else "linear", "bias_gain": rate}
        wanted["weight_gain"] = rate / math.sqrt(max(weight[1], 1))
    elif module.class_name == "ToRGBLayer":
        weight = _shape(tensors, f"{module.path}.weight", 4)
        wanted = {"weight_gain": 1 / math.sqrt(max(weight[1] * weight[2] * weight[3], 1))}
    for name, want in wanted.items():
        have = module.state.get(name, want)
        if not _same(have, want):
            refuse(f"{module.path}: {name} is {shown(have)}, this toolkit's generator has {want!r}")


def _same(have: Any, want: Any) -> bool:
    if isinstance(want, bool | str):
        return type(have) is type(want) and bool(have == want)
    return type(have) in (int, float) and abs(have) < 1 << 32 and math.isclose(have, want, rel_tol=1e-5)


def _shape(tensors: dict[str, StoredTensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors:
        refuse(f"tensor {name} is missing")
    shape = tensors[name].shape
    if len(shape) != dimensions:
        refuse(f"tensor {name} has shape {list(shape)}, not {dimensions} dimensions")
    return shape


def _read_config(modules: dict[str, _Module], tensors: dict[str, StoredTensor]) -> GeneratorConfig:
    kwargs = modules["synthesis"].kwargs
    resolutions = sorted(int(path[11:]) for path in modules if re.fullmatch(r"synthesis\.b[1-9]\d{0,3}", path))
    if not resolutions or resolutions != [4 << i for i in range(len(resolutions))]:
        refuse(f"the synthesis network has blocks at {resolutions[:12]} px, not at 4, 8, 16 and so on")
    images = [_shape(tensors, f"synthesis.b{r}.torgb.weight", 4) for r in resolutions]
    channel_base, channel_max = _widths({r: s[1] for r, s in zip(resolutions, images, strict=True)}, kwargs)
    (w_dim,) = _shape(tensors, "mapping.w_avg", 1)
    c_dim = _shape(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed" in modules else 0
    taps = kwargs.get(_FILTER, (1, 3, 3, 1))
    if type(taps) not in (list, tuple) or any(type(tap) is not int or not 0 <= tap < 1024 for tap in taps):
        refuse(f"synthesis: {_FILTER} is {shown(taps)}, not four whole numbers")
    return GeneratorConfig(
        resolution=resolutions[-1],
        z_dim=_shape(tensors, "mapping.fc0.weight", 2)[1] - (w_dim if c_dim else 0),
        c_dim=c_dim,
        w_dim=w_dim,
        mapping_layers=sum(path.startswith("mapping.fc") for path in modules),
        img_channels=images[-1][0],
        channel_base=channel_base,
        channel_max=channel_max,
        num_fp16_res=_half_precision([modules[f"synthesis.b{r}"] for r in resolutions], kwargs),
        conv_clamp=_conv_clamp(modules, kwargs),
        resample_filter=tuple(taps),
    )


def _widths(widths: dict[int, int], kwargs: dict[Any, Any]) -> tuple[int, int]:
    """``channel_base`` and ``channel_max`` with ``min(channel_base // r, channel_max)`` channels at ``r`` px.

    Those that the network was built with if they explain ``widths``, else the smallest that do.
    """
    given = tuple(kwargs.get(name, default) for name, default in _DEFAULT_WIDTHS.items())
    smallest = (max(r * width for r, width in widths.items()), max(widths.values()))
    for base, top in (given, smallest):
        if type(base) is not int or type(top) is not int:
            continue
        if all(min(base // r, top) == width for r, width in widths.items()):
            break
    else:
        refuse(f"channels {list(widths.values())} do not follow min(channel_base / r, channel_max)")
    return base, top


def _half_precision(blocks: list[_Module], kwargs: dict[Any, Any]) -> int:
    """At how many of the finest resolutions the network ran in half precision."""
    flags = [block.state.get("use_fp16", block.kwargs.get("use_fp16", False)) for block in blocks]
    count = sum(flag is True for flag in flags)
    if flags != [False] * (len(flags) - count) + [True] * count:
        refuse("use_fp16 is not set for the finest resolutions only")
    given = kwargs.get("num_fp16_res", count)
    if type(given) is int and count <= given <= 9 and count == min(given, len(blocks) - 1):
        return given  # 4 px always runs in single precision
    return count


def _conv_clamp(modules: dict[str, _Module], kwargs: dict[Any, Any]) -> float | None:
    """The bound on every convolution's output, the same in all layers."""
    layers = [m for m in modules.values() if m.class_name in ("SynthesisLayer", "ToRGBLayer")]
    bounds = [m.state.get("conv_clamp", kwargs.get("conv_clamp")) for m in layers]
    first = bounds[0]
    for module, bound in zip(layers, bounds, strict=True):
        if bound is not None and not (type(bound) in (int, float) and 0 < bound < 1 << 32):
            refuse(f"{module.path}: conv_clamp is {shown(bound)}, not a positive number")
        if bound != first:
            refuse(f"{module.path}: conv_clamp is {shown(bound)}, {shown(first)} in another layer")
    return None if first is None else float(first)


def _check_filters(tensors: dict[str, StoredTensor], config: GeneratorConfig) -> None:
    """Refuse other up-sampling filters; those of 4 px blocks and second layers are never used."""
    kernel = fir_kernel(config.resample_filter)
    for r in config.block_resolutions[1:]:
        for name in (f"synthesis.b{r}.{_FILTER}", f"synthesis.b{r}.conv0.{_FILTER}"):
            shape = _shape(tensors, name, 2)
            if shape != tuple(kernel.shape) or not torch.allclose(tensors[name].to_float32(), kernel, atol=1e-5):
                refuse(f"{name} is not the filter {list(config.resample_filter)}")


def _load(stored: dict[str, StoredTensor], wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every tensor as float32 after checking names, shapes, types and values."""
    for name in sorted(set(stored) | set(wanted)):
        if name not in stored:
            refuse(f"tensor {name} is missing")
        if name not in wanted:
            refuse(f"tensor {quoted(name)} does not belong to the architecture")
        have, want = list(stored[name].shape), list(wanted[name].shape)
        if have != want:
            refuse(f"tensor {name} has shape {have}, the architecture wants {want}")
    loaded = {}
    for name, tensor in stored.items():
        loaded[name] = tensor.to_float32()
        if not torch.isfinite(loaded[name]).all():
            refuse(f"tensor {name} holds values that are not finite")
    return loaded

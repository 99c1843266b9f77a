"""Published PyTorch checkpoints of the backbones, read without executing anything of them.

In: a ``.pth`` or ``.pt`` with the state dictionary of an IResNet or MobileFaceNet, plain or inside
dictionaries, names with or without ``module.`` or ``backbone.`` before them, any floating-point type, a margin
head beside it or not. Out: the network; the margin head, which is for training alone, is left out.
``torch.load(weights_only=True)`` reads it, which knows tensors and plain containers and refuses the rest.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from syper_data.dataset.atomic import output_errors
from syper_data.dataset.tensor_file import check_tensors
from syper_data.errors import ConfigError, InputError, UsageError
from syper_data.recognition.backbones import UNITS, WIDTHS, Backbone, expected_state
from syper_data.recognition.config import STRIDE, BackboneConfig
from syper_data.recognition.recognizer_file import frozen_backbone, write_recognizer

_MARKS = ("layer1.0.bn1.weight", "conv2_dw.conv.weight")  # IResNet, MobileFaceNet
_DEEPEST = 3  # dictionaries in dictionaries
_NAMELESS = re.compile(r"[^A-Za-z0-9._-]+")


def convert_recognizer(
    source: str | Path,
    target: str | Path,
    *,
    name: str | None = None,
    spectrum: str | None = None,
    orientation: str = "opposite",
    input_size: int | None = None,
) -> Path:
    """Write the backbone in the published checkpoint ``source`` as recognizer file ``target``; return its path.

    ``name`` is by default that of the file. ``spectrum`` (vis, nir) is what it was trained on, if known.
    ``orientation`` is that of its training images; the published periocular recognizers saw the opposite
    of ours. ``input_size`` is needed with a pooling head only, whose shapes fit every size. Whom the
    network was trained on stays unknown.

    Raises:
        InputError: ``source`` is unreadable, damaged, hostile, or no such backbone.
        UsageError: an option out of range, or ``target`` is ``source``.
        OutputError: ``target`` can't be written.
    """
    source, target = Path(source), Path(target)
    backbone = load_checkpoint(source, input_size=input_size)
    with output_errors(target):
        same = target.exists() and target.samefile(source)
    if same:
        raise UsageError(f"{target}: is the file to convert; give the result another name")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    write_recognizer(
        target,
        backbone,
        backbone.config,
        name=name or _NAMELESS.sub("-", source.stem).strip("-._") or "recognizer",
        spectrum=spectrum,
        orientation=orientation,
        identities=None,
        summary={"converted_from": {"name": source.name, "sha256": digest}},
    )
    return target


def load_checkpoint(
    path: str | Path, config: BackboneConfig | None = None, *, input_size: int | None = None
) -> Backbone:
    """The backbone of a published checkpoint, float32, in evaluation mode and without gradients.

    Kind, input size, dimension and head are told by names and shapes unless ``config`` says them.

    Raises:
        InputError: one line on what is wrong: unreadable, truncated, more than tensors, no known
            backbone, tensors missing or left over, of another shape, or not finite.
    """
    path = Path(path)
    named, beside = _state(_load(path), path)
    state = _floats(named, path)
    if config is None:
        config = _detect(state, input_size, path)
    elif input_size not in (None, config.input_size):
        raise UsageError(f"input_size is {input_size}, the configuration says {config.input_size}")
    expected = expected_state(config)
    beside |= {name: state.pop(name) for name in set(state) - set(expected) if _stands_apart(name, expected)}
    _check_head(beside, config.embedding_dim, path)
    for name, tensor in expected.items():  # a counter of training steps, absent from old checkpoints
        if name.endswith(".num_batches_tracked"):
            state.setdefault(name, torch.zeros(tensor.shape, dtype=tensor.dtype))
    check_tensors(state, expected, path, f"checkpoint of {config.kind} at {config.input_size} px")
    return frozen_backbone(config, state)


def _load(path: Path) -> object:
    try:
        if path.exists() and not path.is_file():  # a pipe or device would never end
            raise InputError(f"{path}: is {'a folder' if path.is_dir() else 'no regular file'}")
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL ([\w.]+) was not an allowed", str(error))
        raise InputError(
            f"{path}: holds more than tensors ({name[1] if name else 'or is damaged'}) and is not executed; "
            "save its network's state_dict() alone"
        ) from error
    except Exception as error:  # truncated files raise many types
        raise InputError(f"{path}: not a readable PyTorch checkpoint, or truncated") from error


def _state(value: object, path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The one state dictionary of a known backbone in the file, without the prefix of its names; and what stands
    beside it under other names."""
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: holds a {type(value).__name__}, not a state dictionary")
    found = dict(_networks(value))
    if len(found) > 1:
        listed = ", ".join(sorted(" ".join(name).rstrip(". ") for name in found))
        raise InputError(f"{path}: holds several networks ({listed}); save one of them alone")
    if not found:
        keys = ", ".join(repr(k)[:40] for k in list(value)[:5])
        raise InputError(f"{path}: no IResNet or MobileFaceNet among its entries ({keys or 'none'})")
    (((*_, prefix), state),) = found.items()
    named: dict[str, Tensor] = {}
    beside: dict[str, object] = {}
    for key, tensor in state.items():
        if not isinstance(key, str) or not key.startswith(prefix):
            beside[str(key)] = tensor
        elif not isinstance(tensor, Tensor):
            raise InputError(f"{path}: entry {key!r} is a {type(tensor).__name__}, not a tensor")
        else:
            named[key.removeprefix(prefix)] = tensor
    return named, beside


def _networks(
    value: Mapping[object, object], inside: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[object, object]]]:
    """State dictionaries with a known network: the entries they lie in, then the prefix of the network's names."""
    prefixes = {
        k.removesuffix(m) for k in value if isinstance(k, str) for m in _MARKS if f".{k}".endswith(f".{m}")
    }
    for prefix in sorted(prefixes):
        yield (*inside, prefix), value
    if len(inside) < _DEEPEST and not prefixes:
        for name, entry in value.items():
            if isinstance(entry, Mapping):
                yield from _networks(entry, (*inside, str(name)))


def _stands_apart(name: str, expected: Mapping[str, Tensor]) -> bool:
    """Whether a name is of no part of the network."""
    return name.partition(".")[0] not in {known.partition(".")[0] for known in expected}


def _check_head(beside: Mapping[str, object], dim: int, path: Path) -> None:
    """What stands beside the network must be a margin head: the classes' centres, a matrix with as many rows or
    columns as an embedding has values, and what lies in the same place or below."""
    heads = {
        name.rpartition(".")[0]
        for name, t in beside.items()
        if isinstance(t, Tensor) and t.ndim == 2 and dim in t.shape
    }
    for name in beside:
        if not any(not head or name.startswith(f"{head}.") for head in heads):
            raise InputError(
                f"{path}: tensor {name} does not belong to the architecture, nor to a margin head beside it"
            )


def _floats(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    result = {}
    for name, tensor in state.items():
        if tensor.is_quantized or tensor.is_sparse or tensor.is_complex() or tensor.layout != torch.strided:
            raise InputError(f"{path}: tensor {name} is {tensor.dtype}, {tensor.layout}: not plain values")
        if name.endswith(".num_batches_tracked"):
            result[name] = tensor.to(torch.int64)
        else:
            result[name] = tensor.float() if tensor.is_floating_point() else tensor
    return result


def _detect(state: Mapping[str, Tensor], input_size: int | None, path: Path) -> BackboneConfig:
    """Kind, input size, dimension and head, told by names and shapes."""
    if "conv2_dw.conv.weight" in state:
        kind, last, filters = "mobilefacenet", "output_layer.linear.weight", "output_layer.conv_6_dw.conv.weight"
        side = _shape(state, filters, 4, path)[2] if filters in state else None
    else:
        units = tuple(_units(state, stage) for stage in range(1, 5))
        kinds = [k for k, u in UNITS.items() if u == units]
        if not kinds:
            listed = "-".join(str(u) for u in units)
            raise InputError(f"{path}: stages of {listed} units: not IResNet-18, 34, 50 or 100")
        kind, last = kinds[0], "fc.weight"
        positions = _shape(state, last, 2, path)[1] / WIDTHS[-1]
        side = None if positions == 1 else round(positions**0.5) if positions >= 1 else 0
    if side is None and input_size is None:
        raise InputError(f"{path}: its pooling head fits every input size; say which with --input-size")
    if side is not None and input_size not in (None, side * STRIDE):
        raise InputError(f"{path}: is for {side * STRIDE} px, not {input_size}")
    size = input_size if side is None else side * STRIDE
    dim = _shape(state, last, 2, path)[0]
    try:
        return BackboneConfig(kind, size or 0, dim, "pooling" if side is None else "flatten")
    except ConfigError as error:
        raise InputError(f"{path}: {error}") from error


def _units(state: Mapping[str, Tensor], stage: int) -> int:
    numbers = {m[1] for name in state if (m := re.match(rf"layer{stage}\.(\d{{1,3}})\.", name))}
    return len(numbers)


def _shape(state: Mapping[str, Tensor], name: str, dims: int, path: Path) -> tuple[int, ...]:
    if name not in state:
        raise InputError(f"{path}: tensor {name} is missing")
    shape: tuple[int, ...] = tuple(state[name].shape)
    if len(shape) != dims:
        raise InputError(
            f"{path}: tensor {name} has shape {list(shape)}, the architecture wants {dims} dimensions"
        )
    return shape

"""A backbone as a list of nodes: what enters what, with the places where values are rounded."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import fx, nn

from syper_data.quantization.bits import BitsConfig
from syper_data.recognition.backbones import Backbone

IMAGE = "image"
_OPERATIONS: dict[type[nn.Module], str] = {
    nn.Conv2d: "convolution",
    nn.Linear: "linear",
    nn.PReLU: "prelu",
    nn.BatchNorm2d: "affine",
    nn.AdaptiveAvgPool2d: "pool",
    nn.Flatten: "flatten",
}
LAYERS = ("convolution", "linear")


@dataclass(frozen=True)
class Node:
    """One value: ``operation`` on the values of the nodes named in ``inputs``.

    Operations: convolution, linear, prelu, affine (a scale and a shift a channel), add, pool (mean over the
    map), flatten, and ``round`` (to the levels of the activation range of that name). :data:`IMAGE` is the input.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]


def trace(folded: Backbone) -> tuple[Node, ...]:
    """The nodes of an evaluated backbone whose batch norms are folded, in an order that can be computed;
    the last one is its output. Names are those of the modules, sums are ``sum1``, ``sum2`` ..."""
    names: dict[fx.Node, str] = {}
    nodes: list[Node] = []
    for step in fx.Tracer().trace(folded).nodes:
        inputs = tuple(names[n] for n in step.all_input_nodes)
        if step.op == "placeholder":
            names[step] = IMAGE
        elif step.op == "call_module":
            module = folded.get_submodule(str(step.target))
            if isinstance(module, nn.Identity | nn.Dropout):
                names[step] = inputs[0]
                continue
            names[step] = str(step.target)
            nodes.append(Node(names[step], _OPERATIONS[type(module)], inputs))
        elif step.op == "call_function":
            assert step.target in (operator.add, torch.add), step.target
            names[step] = f"sum{1 + sum(n.operation == 'add' for n in nodes)}"
            nodes.append(Node(names[step], "add", inputs))
    return tuple(nodes)


def consumers(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """Name of a node to those that read it."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            found.setdefault(name, []).append(node)
    return found


def layer_bits(nodes: Iterable[Node], bits: BitsConfig) -> dict[str, tuple[int, int]]:
    """Layer to (weights, activations) in bits; the first and the last one as the configuration says."""
    layers = [n.name for n in nodes if n.operation in LAYERS]
    return {name: bits.of(name, first=name == layers[0], last=name == layers[-1]) for name in layers}


def with_rounding(nodes: tuple[Node, ...], bits: BitsConfig) -> tuple[tuple[Node, ...], dict[str, int]]:
    """The nodes with ``round`` nodes where layers and sums read, and the bits of each of those.

    A value that several nodes read is a skip path: it is rounded once (``NAME:stream``), to ``bits.residual``, and
    a layer of fewer bits rounds it again (``NAME:input``). Any other value is rounded where a layer reads it. The
    image is not: it has 256 levels.
    """
    wanted, readers = layer_bits(nodes, bits), consumers(nodes)
    done: list[Node] = []
    widths: dict[str, int] = {}
    renamed: dict[tuple[str, str], str] = {}  # (value, reader) to what the reader reads

    def insert(name: str, of: str, width: int) -> None:
        if name not in widths:
            done.append(Node(name, "round", (of,)))
            widths[name] = width

    for node in nodes:
        done.append(Node(node.name, node.operation, tuple(renamed.get((v, node.name), v) for v in node.inputs)))
        reading = readers.get(node.name, [])
        stream = len(reading) > 1
        if stream:
            insert(f"{node.name}:stream", node.name, bits.stream)
        source = f"{node.name}:stream" if stream else node.name
        for reader in reading:
            renamed[node.name, reader.name] = source
            if reader.operation in LAYERS:
                width = wanted[reader.name][1]
                if not stream or width < bits.stream:
                    insert(f"{node.name}:input", source, width)
                    renamed[node.name, reader.name] = f"{node.name}:input"
    return tuple(done), widths

"""A distillation step at few bits: the reference formulation, brevitas, and ours.

``python benchmarks/quantized_step.py [KIND [BATCH [BITS [THREADS]]]]`` (mobilefacenet, 32, 8, all cores). Each
step: the teacher's vectors, the student's, their squared distance, gradients, one step of SGD. In turns, medians
of wall time. *Reference*: the network as it is, contiguous, batch norms in training mode, and before every
convolution and linear layer the minimum and maximum of weights and activations and their rounding as separate
operations. *brevitas* (needs ``brevitas==0.13.4`` and ``setuptools<81``, else it is left out): our folded graph,
rounded at the same places by brevitas's own layers (weights a channel, shifted activations, learned scales).
*Ours*: the product.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syper_data.execution.memory import keep_freed_memory
from syper_data.quantization.bits import BitsConfig
from syper_data.quantization.calibration import calibrate
from syper_data.quantization.graph import IMAGE
from syper_data.quantization.layers import ActivationRange, Layer, Slopes
from syper_data.quantization.student import Student
from syper_data.recognition.config import BackboneConfig
from syper_data.recognition.folding import fold_batch_norms
from timing import alternate, cpu_count, machine


class Passed(torch.autograd.Function):
    """Rounding with the gradient passed on."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def min_max(x: Tensor, bits: int, running: Tensor | None = None) -> Tensor:
    """Rounded to 2^bits levels between the extremes of the tensor, one operation after the other."""
    low, high = x.detach().min(), x.detach().max()
    if running is not None:
        running.mul_(0.9).add_(0.1 * torch.stack([low, high]))
        low, high = running
    step = (high - low).clamp_min(1e-8) / (2**bits - 1)
    zero = torch.round(-low / step)
    codes = torch.clamp(Passed.apply(x / step) + zero, 0, 2**bits - 1)
    return (codes - zero) * step


class Reference(nn.Module):
    """A convolution or linear layer between separate operations."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, bits: int) -> None:
        super().__init__()
        self.layer, self.bits = layer, bits
        self.register_buffer("running", torch.tensor([-1.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        weight, x = min_max(self.layer.weight, self.bits), min_max(x, self.bits, self.running)
        if isinstance(self.layer, nn.Linear):
            return F.linear(x, weight, self.layer.bias)
        return self.layer._conv_forward(x, weight, self.layer.bias)


def reference(backbone: nn.Module, bits: int) -> nn.Module:
    """The published formulation of the network."""
    network = copy.deepcopy(backbone).requires_grad_(True).train()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d | nn.Linear):
                setattr(module, name, Reference(child, bits))
    return network


def with_brevitas(backbone: nn.Module, bits: int, images: Tensor) -> nn.Module:
    """Our graph with brevitas's layers in the places of ours."""
    import brevitas.nn as qnn
    from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat

    weights = Int8WeightPerChannelFloat.let(bit_width=bits, scaling_impl_type="parameter_from_stats")
    activations = ShiftedUint8ActPerTensorFloat.let(bit_width=bits, collect_stats_steps=1)
    student = Student(backbone, BitsConfig(bits, bits, None, None, None), rounded=False)
    network = BrevitasGraph(student)
    for key, part in student.parts.items():
        if isinstance(part, Layer):
            o, i = part.weight.shape[:2]
            if part.convolution is None:
                layer = qnn.QuantLinear(i, o, True, weight_quant=weights)
            else:
                stride, padding, groups = part.convolution
                size = tuple(part.weight.shape[2:])
                layer = qnn.QuantConv2d(
                    i * groups, o, size, stride, padding, groups=groups, bias=True, weight_quant=weights
                )
            layer.weight.data, layer.bias.data = part.weight.data.clone(), part.bias.data.clone()
            network.parts[key] = layer
        elif isinstance(part, ActivationRange):
            network.parts[key] = qnn.QuantIdentity(act_quant=activations)
        elif isinstance(part, Slopes):
            network.parts[key] = nn.PReLU(len(part.weight))
            network.parts[key].weight.data = part.weight.data.clone()
        else:
            network.parts[key] = part
    network.to(memory_format=torch.channels_last).train()
    network(images)  # collects the statistics
    return network


class BrevitasGraph(nn.Module):
    """The nodes of a student, computed by other parts."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.nodes, self.parts = student.nodes, nn.ModuleDict()

    def forward(self, images: Tensor) -> Tensor:
        values = {IMAGE: images}
        for node in self.nodes:
            x = [values[name] for name in node.inputs]
            if node.operation == "add":
                values[node.name] = x[0] + x[1]
            elif node.operation == "flatten":
                values[node.name] = x[0].flatten(1)
            elif node.operation == "pool":
                values[node.name] = x[0].mean((2, 3), keepdim=True)
            else:
                values[node.name] = self.parts[node.name.replace(".", "/")](x[0])
        return values[self.nodes[-1].name]


def step(network: nn.Module, teacher: nn.Module, images: Tensor) -> Callable[[], None]:
    """One step of distillation."""
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 1e-4, 0.9)

    def run() -> None:
        with torch.no_grad():
            wanted = F.normalize(teacher(images))
        loss = F.mse_loss(F.normalize(network(images)), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run


def main() -> None:
    from small_recognizers import random_backbone  # beside the tests; timing knows where

    kind = sys.argv[1] if len(sys.argv) > 1 else "mobilefacenet"
    batch, bits, threads = (
        int(sys.argv[i]) if len(sys.argv) > i else value for i, value in ((2, 32), (3, 8), (4, cpu_count()))
    )
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    backbone = random_backbone(BackboneConfig(kind, 112, 128, "pooling"))
    images = torch.rand(batch, 3, 112, 112) * 2 - 1
    ours = Student(backbone, BitsConfig(bits, bits, None, None, None)).train()
    last = images.contiguous(memory_format=torch.channels_last)
    calibrate(ours, [last])
    folded = fold_batch_norms(backbone)
    steps = {"reference": step(reference(backbone, bits), backbone, images)}
    if importlib.util.find_spec("brevitas") is not None:
        steps["brevitas"] = step(with_brevitas(backbone, bits, last), folded, last)
    steps["ours"] = step(ours, folded, last)
    print(machine())
    print(f"{kind}, 112 px, batch {batch}, {bits} bits, {threads} threads")
    seconds = alternate(steps, rounds=5)
    for name, value in seconds.items():
        print(f"{name:10} {batch / value:6.1f} img/s, {seconds['reference'] / value:.2f} x the reference")


if __name__ == "__main__":
    main()

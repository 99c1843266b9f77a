"""Synthesis: the product's formulation against the reference (grouped modulated convolution)."""

from __future__ import annotations

import torch

from stylegan2_reference import reference_synthesis
from syper_data.execution.memory import keep_freed_memory
from syper_data.gan.bundled import default_generator, open_generator
from syper_data.gan.config import GeneratorConfig
from syper_data.gan.generator import Generator
from syper_data.gan.synthesis import latents
from syper_data.sampling.plan import block_size
from timing import alternate, cpu_count, machine

IMAGES = 16


def compare(name: str, generator: Generator) -> None:
    """Print images/s, ratios and the largest error against the reference."""
    generator.eval().requires_grad_(False)
    config = generator.config
    z = torch.from_numpy(latents(range(IMAGES), config.z_dim))
    block = block_size(config.resolution)
    outputs: dict[str, torch.Tensor] = {}

    def reference() -> None:
        parts = [
            reference_synthesis(
                generator,
                generator.mapping(p).unsqueeze(1).expand(-1, config.num_ws, -1),
                "const",
                transposed=True,
            )
            for p in torch.split(z, 8)
        ]
        outputs["reference"] = torch.cat(parts)

    def product(dtype: torch.dtype) -> None:
        generator.synthesis.freeze(dtype, "const")
        with torch.inference_mode():
            parts = [generator(p, dtype=dtype) for p in torch.split(z, block)]
        outputs[str(dtype)] = torch.cat(parts)

    with torch.no_grad():
        seconds = alternate(
            {
                "reference": reference,
                "fp32": lambda: product(torch.float32),
                "bf16": lambda: product(torch.bfloat16),
            }
        )
    spread = outputs["reference"].std().item()
    print(f"{name}: reference {IMAGES / seconds['reference']:.2f} images/s (batch 8)")
    for label, key in (("fp32", "torch.float32"), ("bf16", "torch.bfloat16")):
        error = (outputs[key] - outputs["reference"]).abs().max().item()
        print(
            f"  {label}: {IMAGES / seconds[label]:.1f} images/s (block {block}), "
            f"ratio {seconds['reference'] / seconds[label]:.1f}, largest error {error:.1e} "
            f"on images of std {spread:.2f}"
        )


if __name__ == "__main__":
    keep_freed_memory()
    torch.set_num_threads(cpu_count())
    print(machine())
    torch.manual_seed(0)
    compare(
        "256 px, channel_base 16384, random weights",
        Generator(GeneratorConfig(resolution=256, channel_base=16384)),
    )
    compare(default_generator(), open_generator().generator)

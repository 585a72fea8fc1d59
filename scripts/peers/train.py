"""PyTorch's training step: forward, batch-hard triplet loss, backward, fused SGD with momentum and weight decay.

Cases are models. Modes: eager or compiled, contiguous or channels-last, f32 or bf16 (autocast); *_fast is f32 tensors
with convolutions and products computed in bf16."""
import torch
from torch.nn import functional as F

import measure
import models

MODES = [f"{layout}{precision}{how}" for layout in ("contiguous", "channels_last")
         for precision in ("", "_bf16", "_fast") for how in ("", "_compile")]


def batch_hard(embeddings, people, margin=0.2):
    squares = embeddings.square().sum(1)
    distance = (squares[:, None] + squares[None, :] - 2 * embeddings @ embeddings.T).clamp_min(1e-12).sqrt()
    same = people[:, None] == people[None, :]
    farthest = torch.where(same, distance, -1.0).amax(1)
    nearest = torch.where(same, 1e9, distance).amin(1)
    return F.relu(farthest - nearest + margin).mean()


def main():
    options = measure.arguments(MODES)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if "fast" in options.mode:
        torch.backends.mkldnn.conv.fp32_precision = "bf16"
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    autocast = "_bf16" in options.mode
    batch = 64

    def make(name):
        measure.forget_peak()
        idle = measure.process_mib("VmRSS")
        model, x = models.MODELS[name]().train(), models.photos(name, batch)
        if options.mode.startswith("channels_last"):
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        people = torch.arange(batch) // 4
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)

        def loss_of(x):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                embeddings = model(x)
            return batch_hard(embeddings.float(), people)

        forward = torch.compile(loss_of) if options.mode.endswith("compile") else loss_of

        def step():
            optimizer.zero_grad(set_to_none=True)
            forward(x).backward()
            optimizer.step()

        return step, lambda: {"idle_mib": idle, "peak_mib": measure.process_mib("VmHWM") - idle}

    measure.run(options, make)


if __name__ == "__main__":
    main()

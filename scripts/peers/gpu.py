"""PyTorch's training step on a GPU: forward, batch-hard triplet loss, backward, fused SGD with momentum and weight decay.

Cases are models. Modes: eager channels-last, the same with bf16 autocast (amp), compiled, compiled with CUDA graphs, and
with TF32 products. A call ends when the GPU is done."""
import torch

import measure
import models
from train import batch_hard

MODES = ["eager", "amp_bf16", "compile", "compile_cuda_graphs", "tf32"]


def main():
    options = measure.arguments(MODES)
    if not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no GPU")
    torch.manual_seed(0)
    tf32 = options.mode == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    batch = 64

    def make(name):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        model = models.MODELS[name]().train().cuda().to(memory_format=torch.channels_last)
        x = models.photos(name, batch).cuda().contiguous(memory_format=torch.channels_last)
        people = torch.arange(batch, device="cuda") // 4
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)

        def loss_of(x):
            with torch.autocast("cuda", torch.bfloat16, enabled=options.mode == "amp_bf16"):
                embeddings = model(x)
            return batch_hard(embeddings.float(), people)

        if options.mode == "compile":
            forward = torch.compile(loss_of)
        elif options.mode == "compile_cuda_graphs":
            forward = torch.compile(loss_of, mode="reduce-overhead")
        else:
            forward = loss_of

        def step():
            optimizer.zero_grad(set_to_none=True)
            forward(x).backward()
            optimizer.step()
            torch.cuda.synchronize()

        return step, lambda: {"peak_mib": torch.cuda.max_memory_allocated() / 2**20, "torch": torch.__version__,
                              "cudnn": torch.backends.cudnn.version()}

    measure.run(options, make)


if __name__ == "__main__":
    main()

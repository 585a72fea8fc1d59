"""Inference of a trained network: PyTorch eager, traced and frozen, compiled, and ONNX Runtime. Cases are MODEL/BATCH."""
import os
import tempfile
import warnings

import torch

import measure
import models

MODES = ["channels_last", "contiguous", "jit_contiguous", "jit_channels_last", "compile_channels_last",
         "freeze_channels_last", "onnxruntime"]


def onnx_session(model, name, threads):
    import onnxruntime
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(model, (models.photos(name, 2),), path, dynamo=False, opset_version=17,
                          input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def main():
    warnings.filterwarnings("ignore")
    options = measure.arguments(MODES)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    @torch.no_grad()
    def make(case):
        name, batch = case.split("/")
        model, x = models.MODELS[name](), models.photos(name, int(batch))
        for _ in range(2):  # running statistics that are not those of a fresh network
            model.train()(models.photos(name, 16))
        model.eval()
        if "channels_last" in options.mode:
            model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        if options.mode == "onnxruntime":
            session, array = onnx_session(model, name, options.threads), x.numpy()
            return lambda: session.run(None, {"x": array})
        if options.mode.startswith("jit"):
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))
        elif options.mode.startswith(("compile", "freeze")):
            import torch._inductor.config as inductor
            inductor.freezing = options.mode.startswith("freeze")
            model = torch.compile(model)
            model(x)

        def call():
            with torch.no_grad():
                model(x)

        def call_inference_mode():
            with torch.inference_mode():
                model(x)

        return call if options.mode.startswith(("compile", "freeze")) else call_inference_mode

    measure.run(options, make)


main()

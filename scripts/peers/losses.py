"""Loss and gradient of triplets in PyTorch, D = 128. Cases are RULE/PHOTOS/EACH. Modes: dense, whole matrices of distances
as people write them; pml, pytorch-metric-learning."""
import torch
from torch.nn import functional as F

import measure

MARGIN, LARGEST = 0.2, 8 << 30


def distances(e):
    squares = e.square().sum(1)
    return (squares[:, None] + squares[None, :] - 2 * e @ e.T).clamp_min(1e-12).sqrt()


def batch_hard(e, same):
    d = distances(e)
    return F.relu(torch.where(same, d, -1.0).amax(1) - torch.where(same, 1e9, d).amin(1) + MARGIN).mean()


def semi_hard(e, same):
    """For each pair (a, p) the nearest negative farther than p; the mean over the pairs inside the margin."""
    d = distances(e)
    anchor, positive = (same & ~torch.eye(len(e), dtype=torch.bool)).nonzero(as_tuple=True)
    with torch.no_grad():
        farther = torch.where(same[anchor] | (d[anchor] <= d[anchor, positive][:, None]), torch.inf, d[anchor])
        nearest, negative = farther.min(1)
        inside = nearest < d[anchor, positive] + MARGIN
    return F.relu(d[anchor, positive] - d[anchor, negative] + MARGIN)[inside].mean()


def batch_all(e, same):
    d = distances(e)
    valid = (same & ~torch.eye(len(e), dtype=torch.bool))[:, :, None] & ~same[:, None, :]
    terms = torch.where(valid, F.relu(d[:, :, None] - d[:, None, :] + MARGIN), 0.0)
    return terms.sum() / (terms > 0).sum().clamp_min(1)


def memory_needed(rule, mode, n, each):
    """Bytes of the largest intermediates, roughly: what is not worth trying is refused."""
    triplets = n * (each - 1) * (n - each)
    if mode == "pml":
        return triplets * 72 if rule != "batch_hard" else 0
    return {"batch_all": n ** 3 * 17, "semi_hard": n * (each - 1) * n * 9}.get(rule, 0)


def library_loss(rule):
    from pytorch_metric_learning import distances as pml_distances, losses, miners, reducers
    euclidean = pml_distances.LpDistance(normalize_embeddings=False)
    loss = losses.TripletMarginLoss(margin=MARGIN, distance=euclidean, reducer=reducers.AvgNonZeroReducer())
    if rule == "batch_all":
        return loss
    miner = (miners.BatchHardMiner(distance=euclidean) if rule == "batch_hard" else
             miners.TripletMarginMiner(margin=MARGIN, distance=euclidean, type_of_triplets="semihard"))
    return lambda e, people: loss(e, people, miner(e, people))


def main():
    options = measure.arguments(["dense", "pml"])
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    def make(case):
        rule, n, each = case.split("/")
        n, each = int(n), int(each)
        needed = memory_needed(rule, options.mode, n, each)
        if needed > LARGEST:
            raise MemoryError(f"needs about {needed / 2**30:.0f} GiB")
        e = F.normalize(torch.randn(n, 128), dim=1).requires_grad_()
        people = torch.arange(n) // each
        same = people[:, None] == people[None, :]
        measure.forget_peak()
        idle = measure.process_mib("VmRSS")
        if options.mode == "dense":
            function = {"batch_hard": batch_hard, "semi_hard": semi_hard, "batch_all": batch_all}[rule]
            value = lambda: function(e, same)
        else:
            loss = library_loss(rule)
            value = lambda: loss(e, people)

        def call():
            e.grad = None
            value().backward()

        return call, lambda: {"peak_mib": measure.process_mib("VmHWM") - idle}

    measure.run(options, make)


main()

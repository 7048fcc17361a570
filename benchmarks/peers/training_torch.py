"""Masked training with PyTorch's torch.nn.utils.prune."""

import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch.nn.utils import prune
from turns import seconds, serve

batch_size, sparsity = int(sys.argv[1]), float(sys.argv[2])
torch.manual_seed(0)
x, y = torch.rand(60_000, 784), torch.randint(10, (60_000,))


def network():
    sizes, layers = [784, 1000, 1000, 500, 200, 10], []
    for inputs, units in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, units, bias=False), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


models = {"dense": network(), "masked": network()}
for layer in list(models["masked"])[:-1:2]:
    prune.l1_unstructured(layer, "weight", amount=sparsity)
optimizers = {name: torch.optim.Adam(model.parameters()) for name, model in models.items()}


def train(name, steps):
    model, optimizer = models[name], optimizers[name]
    order = torch.randperm(len(x))
    for step in range(steps):
        chosen = order[torch.arange(step * batch_size, (step + 1) * batch_size) % len(x)]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimizer.step()


def zeros():
    layers = list(models["masked"])[:-1:2]
    masked = torch.cat([layer.weight[layer.weight_mask == 0] for layer in layers])
    return {"masked": float((masked == 0).float().mean())}


serve({**{n: lambda steps, n=n: seconds(train, n, steps) for n in models}, "zeros": zeros})

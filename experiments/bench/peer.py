"""Times the cases of bench in PyTorch on the CPU, as its peer.

usage: python3 peer.py CASE [--threads N] [--runs K] [--weights FOLDER] [--gradients FOLDER]
prints one JSON line: {"case", "threads", "best_ms", "median_ms", "kernel"}

CASE is SIZE/WORK or SIZE-trained/WORK. The potential is that of bench:
    z_1 = softplus(x·B_1 + b_1),  z_l = softplus(z_{l-1}·W_l + x·B_l + b_l),  w(x) = z_L·c + x·l + |x|²/4
where in SIZE pictures products with B and W are convolutions and x is averaged to the size of z_{l-1},
with W and c clamped at 0 after each step of Adam (rate 1e-4), and WORK one of
    grad    the gradient of w at all x
    dual    a step on mean w(x) - mean w(y)
    pairs   a step on mean |grad w(x) - y|²
    logdet  a step on Var[|x|²/2 - w(grad w(x)) + log det hess w(x)], d = 2 only
    outer   ten Langevin steps of y, ten gradient steps of the conjugates of y, a dual step
    values  w and its gradient at all x
In SIZE-maximum each layer has two affine pieces a and a', and z = a' + softplus(a - a').

In SIZE quadratics2, quadratics16 and quadratics784 the network is phi = w*,
    phi(y) = tau·log sum_k exp(phi_k(y)/tau),  phi_k(y) = |F_k·y|²/2 + sum_j D_kj·y_j²/2 + C_k·y + b_k,  D = s + e²
and WORK one of
    values  phi and its gradient at all y
    solve   argmax_y x·y - phi(y) at all x, by damped Newton steps until one is at most 1e-4 of y, which is the last
    dual    a step on mean w(x) + mean phi(y) with the solutions for x held fixed
--weights must then name the folder, with arrays factors.npy (F), diagonal.npy (e; none for 0), centers.npy (C),
offsets.npy (b) and floor.npy (s).

--weights names a folder of arrays as bench writes them: layerL.skip.npy is B, layerL.bias.npy b,
layerL.weight.npy W, out.npy c, linear.npy l, and x.npy and y.npy are the points. Without it
weights are random and points normal. --gradients times nothing: it runs the work once and writes
the loss and its gradient in each weight, or the gradient at x, as arrays into FOLDER.

OpenBLAS takes the fastest of its kernels, found by trial, for one older than the processor may
choose one without vector instructions; PEER_KERNEL names another, or, if empty, leaves the choice to it.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("case")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--runs", type=int, default=20)
parser.add_argument("--weights")
parser.add_argument("--gradients")
options = parser.parse_args()

TRIAL = """
import time, torch
torch.set_num_threads(%d)
a, b, times = torch.randn(256, 512), torch.randn(512, 512), []
for _ in range(40):
    start = time.perf_counter(); a @ b; times.append(time.perf_counter() - start)
print(min(times))
""" % options.threads


def fastest_kernel():
    """The core type of OpenBLAS with the fastest products here; empty where none is better than its own choice."""
    best = (math.inf, "")
    for core in ("", "SkylakeX", "Cooperlake", "Zen", "Haswell"):
        environment = dict(os.environ)
        environment.pop("OPENBLAS_CORETYPE", None)
        if core:
            environment["OPENBLAS_CORETYPE"] = core
        trial = subprocess.run([sys.executable, "-c", TRIAL], env=environment, capture_output=True, text=True)
        if trial.returncode == 0:  # one whose instructions the processor lacks fails
            best = min(best, (float(trial.stdout), core))
    return best[1]


# Libraries read these when they are loaded, hence before torch.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(options.threads)
kernel = os.environ.get("PEER_KERNEL")
if kernel is None:
    kernel = fastest_kernel()
    os.environ.pop("OPENBLAS_CORETYPE", None)
if kernel:
    os.environ["OPENBLAS_CORETYPE"] = kernel

import numpy
import torch
from torch.nn.functional import adaptive_avg_pool2d, conv2d, softplus

torch.set_num_threads(options.threads)

SIZES = {"big": (256, 784, [512] * 3), "small": (1024, 2, [64] * 4), "tiny": (16, 2, [16] * 2), "pictures": (256, 784, []),
         "quadratics2": (512, 2, []), "quadratics16": (256, 16, []), "quadratics784": (128, 784, [])}
TAU = {"quadratics2": .02, "quadratics16": .15, "quadratics784": 2.}
FILTERS = {"pictures": [32, 64]}  # of 4×4 at stride 2, with one pixel of zeros around the pictures, over 28×28 pixels
SIZE, STRIDE, PADDING, SIDE = 4, 2, 1, 28


def shapes(d, hidden, filters):
    """The shapes of B, W and b by layer, as bench holds them: filters are (taps, filters)."""
    below, side, layers = None, SIDE, []
    for f in filters:
        side //= STRIDE
        h = side * side * f
        layers.append(((SIZE * SIZE, f), below and (SIZE * SIZE * below, f), (1, h)))
        below = f
    for h in hidden:
        layers.append(((d, h), below and (below, h), (1, h)))
        below = h
    return layers


def prefixes(l):
    """What the names of the weights of layer l begin with, by affine piece."""
    return [f"layer{l}.", f"layer{l}.second."] if maximum else [f"layer{l}."]


def random_state(n, d, layers):
    torch.manual_seed(1)
    last = layers[-1][2][1]
    state = {"out": torch.randn(last, 1).abs() / last, "linear": .01 * torch.randn(1, d)}
    for l, (skip, weight, bias) in enumerate(layers):
        for prefix in prefixes(l):
            state[prefix + "skip"] = torch.randn(skip) / math.sqrt(skip[0])
            state[prefix + "bias"] = .1 * torch.randn(bias)
            if weight:
                state[prefix + "weight"] = torch.randn(weight).abs() / weight[0]
    return state, torch.randn(n, d), torch.randn(n, d)


def to_torch(name, v):
    """An array of bench in the layout that is PyTorch's own: channels above the lines of a picture."""
    if not filters or name == "linear":
        return v
    if name.endswith(("skip", "weight")):
        return v.reshape(SIZE, SIZE, -1, v.shape[1]).permute(3, 2, 0, 1)
    f = filters[-1] if name == "out" else filters[int(name[len("layer")])]
    side = math.isqrt(v.numel() // f)
    return v.reshape(1, side, side, f).permute(0, 3, 1, 2)


def from_torch(name, v):
    """The inverse of to_torch."""
    if v.dim() < 4:
        return v
    if name.endswith(("skip", "weight")):
        return v.permute(2, 3, 1, 0).reshape(-1, v.shape[0])
    v = v.permute(0, 2, 3, 1)
    return v.reshape(-1, 1) if name == "out" else v.reshape(1, -1)


def saved_state(folder):
    state = {f[:-4]: torch.from_numpy(numpy.load(os.path.join(folder, f))) for f in os.listdir(folder) if f.endswith(".npy")}
    return state, state.pop("x"), state.pop("y")


size, work = options.case.split("/")
maximum = size.endswith("-maximum")
n, d, hidden = SIZES[size.removesuffix("-trained").removesuffix("-maximum")]
filters = FILTERS.get(size, [])
tau = TAU.get(size)
layers = shapes(d, hidden, filters)
state, x, y = saved_state(options.weights) if options.weights else random_state(n, d, layers)
assert x.shape == y.shape == (n, d), "the points are of another size"
weights = {name: torch.nn.Parameter(to_torch(name, v).contiguous()) for name, v in state.items()}
floor = weights.pop("floor").detach() if tau else None
skips = [weights[f"layer{l}.skip"] for l in range(len(layers))]
deep = [weights[f"layer{l}.weight"] for l in range(1, len(layers))]
non_negative = [v for name, v in weights.items() if name.endswith("weight") or name == "out"]
adam = torch.optim.Adam(list(weights.values()), lr=1e-4)


def affine(bias, *factors):
    """bias + x·A + …: in one pass per product, which pays unless it is differentiated twice."""
    for x, A in factors:
        bias = bias + x @ A if work in ("pairs", "logdet") else torch.addmm(bias, x, A)
    return bias


def convolved(x):
    """z_L of a convolutional network; the skips see x resized to the picture below."""
    pixels = x.reshape(-1, 1, SIDE, SIDE)
    z = softplus(conv2d(pixels, skips[0], stride=STRIDE, padding=PADDING) + weights["layer0.bias"])
    for l, W in enumerate(deep, 1):
        resized = adaptive_avg_pool2d(pixels, z.shape[2:])
        z = softplus(conv2d(resized, skips[l], stride=STRIDE, padding=PADDING)
                     + conv2d(z, W, stride=STRIDE, padding=PADDING) + weights[f"layer{l}.bias"])
    return z


def w(x):
    if filters:
        z = convolved(x).flatten(1)
        return (z @ weights["out"].reshape(-1, 1) + x @ weights["linear"].T)[:, 0] + .25 * (x * x).sum(1)
    z = None
    for l in range(len(layers)):
        a = [affine(weights[p + "bias"], (x, weights[p + "skip"]), *([(z, weights[p + "weight"])] if l else [])) for p in prefixes(l)]
        z = a[1] + softplus(a[0] - a[1]) if maximum else softplus(a[0])
    return (z @ weights["out"] + x @ weights["linear"].T)[:, 0] + .25 * (x * x).sum(1)


def slope(x, create_graph=False):
    x = x.detach().requires_grad_(True)
    return x, torch.autograd.grad(w(x).sum(), x, create_graph=create_graph)[0]


def slope_alone(x):
    """The gradient at x, without what its weights' gradients would need."""
    for p in weights.values():
        p.requires_grad_(False)
    g = slope(x)[1]
    for p in weights.values():
        p.requires_grad_(True)
    return g


def dual(x=x, xhat=y):
    if tau:
        solution = argmax(x)
        return ((x * solution).sum(1) - phi(solution)).mean() + phi(y).mean()
    return w(x).mean() - w(xhat).mean()


def pairs():
    return ((slope(x, create_graph=True)[1] - y) ** 2).sum(1).mean()


def logdet():
    at, g = slope(x, create_graph=True)
    rows = [torch.autograd.grad(g[:, j].sum(), at, create_graph=True)[0] for j in range(2)]
    determinant = rows[0][:, 0] * rows[1][:, 1] - rows[0][:, 1] * rows[1][:, 0]
    return (.5 * (x * x).sum(1) - w(g) + determinant.log()).var()


def differentiate(loss):
    adam.zero_grad()
    loss.backward(inputs=list(weights.values()))
    return loss


def step(loss):
    differentiate(loss)
    adam.step()
    with torch.no_grad():
        for p in non_negative:
            p.clamp_(min=0)


def values():
    """w and its gradient at x, or phi and its gradient at y."""
    if tau:
        with torch.no_grad():
            return phi_and_slope(y, diagonal())[:2]
    for p in weights.values():
        p.requires_grad_(False)
    at = x.detach().requires_grad_(True)
    value = w(at)
    slope = torch.autograd.grad(value.sum(), at)[0]
    for p in weights.values():
        p.requires_grad_(True)
    return value.detach(), slope


def diagonal():
    e = weights.get("diagonal")
    return floor.expand(len(weights["centers"]), d) if e is None else floor + e * e


def pieces(y, D):
    """F·y, and phi_k(y) for all k."""
    factored = y @ weights["factors"].T
    K = len(D)
    return factored, weights["offsets"] + y @ weights["centers"].T + (.5 * y * y) @ D.T + .5 * (factored * factored).view(len(y), K, -1).sum(2)


def phi(y):
    return tau * torch.logsumexp(pieces(y, diagonal())[1] / tau, 1)


def phi_and_slope(y, D):
    """phi, its gradient, the softmax p of the pieces, and F·y by piece."""
    factored, f = pieces(y, D)
    p = torch.softmax(f / tau, 1)
    factored = factored.view(len(y), len(D), -1)
    slope = (p[:, :, None] * factored).flatten(1) @ weights["factors"] + y * (p @ D) + p @ weights["centers"]
    return tau * torch.logsumexp(f / tau, 1), slope, p, factored


class DenseHessian:
    """Newton steps by the matrices A_k = D_k + F_k'F_k."""

    def __init__(self, D):
        F = weights["factors"].view(len(D), -1, d)
        self.A = F.transpose(1, 2) @ F + torch.diag_embed(D)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(self.A))

    def starts(self, x):
        """The solutions of each piece alone."""
        C = weights["centers"]
        return (x @ self.inverse.permute(1, 0, 2).reshape(d, -1)).view(len(x), -1, d) - torch.einsum("kij,kj->ki", self.inverse, C)

    def step(self, y, slope, p, factored, rest):
        G = (y @ self.A.permute(1, 0, 2).reshape(d, -1)).view(len(y), -1, d) + weights["centers"] - slope[:, None]
        G = G * (p / tau).sqrt()[:, :, None]
        H = (p @ self.A.flatten(1)).view(-1, d, d) + G.transpose(1, 2) @ G
        return torch.cholesky_solve(rest[:, :, None], torch.linalg.cholesky(H))[:, :, 0]


class LowRankHessian:
    """Newton steps by the Woodbury identity, with the factors of the heaviest pieces and the slopes of more of them."""
    FACTORS, SLOPES = 4, 16

    def __init__(self, D):
        self.D, self.F = D, weights["factors"].view(len(D), -1, d)
        self.scaled = self.F / D[:, None]
        self.inner = torch.linalg.cholesky(torch.eye(self.F.shape[1]) + self.scaled @ self.F.transpose(1, 2))

    def starts(self, x):
        rest = (x[:, None] - weights["centers"]) / self.D
        M = torch.linalg.solve_triangular(self.inner, self.scaled, upper=False)  # A_k^-1 = 1/D_k - M_k'M_k
        inner = torch.einsum("krd,nkd->nkr", M, rest * self.D)
        return rest - torch.einsum("krd,nkr->nkd", M, inner)

    def step(self, y, slope, p, factored, rest):
        top, k = p.topk(min(self.SLOPES, len(self.D)), 1)
        G = torch.einsum("nmrd,nmr->nmd", self.F[k], factored.gather(1, k[:, :, None].expand(-1, -1, factored.shape[2])))
        G = G + y[:, None] * self.D[k] + weights["centers"][k] - slope[:, None]
        F = self.F[k[:, :self.FACTORS]] * top[:, :self.FACTORS].sqrt()[:, :, None, None]
        U = torch.cat([F.flatten(1, 2), G * (top / tau).sqrt()[:, :, None]], 1)
        D = (p @ self.D)[:, None]
        scaled = U / D
        inner = torch.linalg.cholesky(torch.eye(U.shape[1]) + scaled @ U.transpose(1, 2))
        right = torch.cholesky_solve(scaled @ rest[:, :, None], inner)
        return rest / D[:, 0] - (scaled.transpose(1, 2) @ right)[:, :, 0]


TOLERANCE, MOST = 1e-4, 200


@torch.no_grad()
def argmax(x):
    """argmax_y x·y - phi(y) by damped Newton steps, from the best of the solutions of single pieces; rows that are done drop out."""
    D = diagonal()
    hessian = DenseHessian(D) if 3 * len(weights["factors"]) >= len(D) * d else LowRankHessian(D)
    starts = hessian.starts(x)
    alone = (x[:, None] * starts).sum(2)
    K = len(D)
    factored = torch.einsum("krd,nkd->nkr", weights["factors"].view(K, -1, d), starts)
    alone -= weights["offsets"] + (weights["centers"] * starts).sum(2) + .5 * (D * starts * starts).sum(2) + .5 * (factored * factored).sum(2)
    y = starts[torch.arange(len(x)), alone.argmin(1)]  # phi* is at most the conjugate of each piece
    active = torch.arange(len(x))
    value, slope, p, factored = phi_and_slope(y, D)
    for _ in range(MOST):
        at, of = y[active], x[active]
        rest = of - slope
        step = hessian.step(at, slope, p, factored, rest)
        last = step.norm(dim=1) <= TOLERANCE * at.norm(dim=1).clamp(min=.01 * math.sqrt(d))
        y[active[last]] = at[last] + step[last]
        keep = ~last
        if not keep.any():
            break
        active, at, of, rest, step = active[keep], at[keep], of[keep], rest[keep], step[keep]
        before, gain = (of * at).sum(1) - value[keep], (rest * step).sum(1)
        t = torch.ones(len(active))
        for _ in range(20):
            trial = at + t[:, None] * step
            value, slope, p, factored = phi_and_slope(trial, D)
            worse = (of * trial).sum(1) - value < before + .05 * t * gain - 1e-5 * (1 + before.abs())
            if not worse.any():
                break
            t = torch.where(worse, .4 * t, t)
        y[active] = trial
    return y


particles = y.clone()


def outer(eta=1e-3):
    global particles
    for _ in range(10):
        particles = particles - eta * slope_alone(particles) + math.sqrt(2 * eta) * torch.randn_like(particles)
    xhat = x.clone()
    for _ in range(10):
        xhat = xhat + .1 * (particles - slope_alone(xhat))
    step(dual(x, xhat))


if options.gradients:
    found = {}
    if work == "grad":
        found["gradient"] = slope_alone(x)
    elif work == "values":
        found["value"], found["gradient"] = values()
        found["value"] = found["value"].reshape(-1, 1)
    elif work == "solve":
        found["gradient"] = argmax(x)
    else:
        found["loss"] = differentiate({"dual": dual, "pairs": pairs, "logdet": logdet}[work]()).detach().reshape(1, 1)
        found.update((name, from_torch(name, p.grad)) for name, p in weights.items() if p.grad is not None)
    for name, v in found.items():
        numpy.save(os.path.join(options.gradients, name + ".npy"), v.contiguous().numpy())
    sys.exit()

run = {"grad": lambda: slope_alone(x), "dual": lambda: step(dual()), "pairs": lambda: step(pairs()),
       "logdet": lambda: step(logdet()), "outer": outer, "values": values, "solve": lambda: argmax(x)}[work]
for _ in range(3):
    run()
times = []
for _ in range(options.runs):
    start = time.perf_counter()
    run()
    times.append(1e3 * (time.perf_counter() - start))
times.sort()
print(json.dumps({"case": options.case, "threads": options.threads, "best_ms": round(times[0], 4),
                  "median_ms": round(times[len(times) // 2], 4), "kernel": kernel}))

"""Golden values of every operation of the graph: PyTorch in 64 bits.

torch==2.15.0, numpy==2.4.6. Writes ops.json: for each case the operation as in a model card, the input, the weights, the output, and
the gradient of sum(output * cotangent) at the input.

    python tests/golden/ops.py
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(20)
cases = []


def draw(*shape):
    """Numbers with few digits, so that they are the same in 32 and 64 bits."""
    return np.round(rng.standard_normal(shape) * 64) / 64


def case(name, op, shapes, function, weights=None):
    weights = weights or {}
    inputs = [torch.tensor(draw(2, *s), requires_grad=True) for s in shapes]
    tensors = {k: torch.tensor(v) for k, v in weights.items()}
    output = function(*inputs, **tensors)
    cotangent = torch.tensor(draw(*output.shape))
    gradients = torch.autograd.grad((output * cotangent).sum(), inputs)
    flat = lambda t: [float(f"{v:.10g}") for v in t.detach().reshape(-1)]
    cases.append({
        "name": name,
        "op": op,
        "inputs": [{"shape": list(i.shape), "values": flat(i)} for i in inputs],
        "weights": {k: {"shape": list(v.shape), "values": flat(torch.tensor(v))} for k, v in weights.items()},
        "output": {"shape": list(output.shape), "values": flat(output)},
        "cotangent": flat(cotangent),
        "gradients": [flat(g) for g in gradients],
    })


def conv(name, shape, weight, bias=True, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    t, l, b, r = padding
    weights = {"weight": draw(*weight)}
    op = {"kind": "conv2d", "weight": "weight", "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if bias:
        weights["bias"] = draw(weight[0])
        op["bias"] = "bias"

    def function(x, weight, bias=None):
        return F.conv2d(F.pad(x, (l, r, t, b)), weight, bias, stride, 0, dilation, groups)

    case(name, op, [shape], function, weights)


conv("conv", (3, 6, 7), (4, 3, 3, 3), padding=(1, 1, 1, 1))
conv("conv-1x1", (5, 4, 4), (3, 5, 1, 1))
conv("conv-stride", (2, 9, 8), (3, 2, 3, 2), stride=(2, 3), padding=(1, 0, 1, 0))
conv("conv-asymmetric", (2, 7, 7), (3, 2, 5, 5), stride=(2, 2), padding=(1, 1, 2, 2))
conv("conv-dilated", (2, 9, 9), (3, 2, 3, 3), dilation=(2, 3), padding=(2, 3, 2, 3))
conv("conv-groups", (4, 5, 5), (6, 2, 3, 3), groups=2, padding=(1, 1, 1, 1))
conv("conv-depthwise", (4, 6, 6), (4, 1, 5, 5), bias=False, groups=4, stride=(2, 2), padding=(1, 1, 2, 2))
conv("conv-multiplier", (3, 5, 5), (6, 1, 3, 3), groups=3, padding=(1, 1, 1, 1))


def pool(name, kind, shape, kernel, stride, pad, ceil, count=None):
    op = {"kind": kind, "kernel": kernel, "stride": stride, "padding": [pad[0], pad[1], pad[0], pad[1]], "ceil": ceil}
    if kind == "max-pool":
        function = lambda x: F.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil)
    else:
        op["count_include_pad"] = count
        function = lambda x: F.avg_pool2d(x, kernel, stride, pad, ceil_mode=ceil, count_include_pad=count)
    case(name, op, [shape], function)


pool("max", "max-pool", (2, 7, 6), (3, 2), (2, 2), (1, 0), False)
pool("max-ceil", "max-pool", (2, 8, 8), (3, 3), (2, 2), (0, 0), True)
pool("max-ceil-pad", "max-pool", (2, 7, 8), (3, 3), (2, 2), (1, 1), True)
pool("max-ceil-dropped-window", "max-pool", (2, 6, 6), (2, 2), (3, 3), (1, 1), True)
pool("max-same", "max-pool", (3, 5, 5), (3, 3), (1, 1), (1, 1), False)
for count in (True, False):
    tag = "counted" if count else "uncounted"
    pool(f"avg-{tag}", "avg-pool", (2, 6, 7), (3, 3), (2, 2), (1, 1), False, count)
    pool(f"avg-ceil-{tag}", "avg-pool", (2, 8, 7), (3, 2), (2, 2), (1, 1), True, count)
    pool(f"avg-ceil-nopad-{tag}", "avg-pool", (2, 8, 8), (3, 3), (2, 2), (0, 0), True, count)

bn = {"mean": draw(3), "var": np.abs(draw(3)) + 0.25, "scale": draw(3), "shift": draw(3)}
case("batch-norm", {"kind": "batch-norm", "mean": "mean", "var": "var", "scale": "scale", "shift": "shift", "epsilon": 0.0009765625}, [(3, 4, 4)],
     lambda x, mean, var, scale, shift: F.batch_norm(x, mean, var, scale, shift, False, 0.0, 0.0009765625), bn)
case("batch-norm-plain", {"kind": "batch-norm", "mean": "mean", "var": "var", "epsilon": 0.0009765625}, [(3, 4, 4)],
     lambda x, mean, var: F.batch_norm(x, mean, var, None, None, False, 0.0, 0.0009765625), {k: bn[k] for k in ("mean", "var")})
case("channel-affine", {"kind": "channel-affine", "scale": "scale", "shift": "shift"}, [(3, 4, 5)],
     lambda x, scale, shift: x * scale[:, None, None] + shift[:, None, None], {k: bn[k] for k in ("scale", "shift")})
case("relu", {"kind": "relu"}, [(2, 5, 5)], F.relu)
case("leaky-relu", {"kind": "leaky-relu", "slope": 0.125}, [(2, 5, 5)], lambda x: F.leaky_relu(x, 0.125))
case("sigmoid", {"kind": "sigmoid"}, [(2, 4, 4)], torch.sigmoid)
case("tanh", {"kind": "tanh"}, [(2, 4, 4)], torch.tanh)
case("global-avg-pool", {"kind": "global-avg-pool"}, [(3, 4, 5)], lambda x: x.mean((2, 3), keepdim=True))
for size in (1, 3, 5):
    case(f"lrn-{size}", {"kind": "lrn", "size": size, "alpha": 0.5, "beta": 0.75, "k": 1.0}, [(7, 3, 3)],
         lambda x: F.local_response_norm(x, size, alpha=0.5, beta=0.75, k=1.0))
case("lrn-k2", {"kind": "lrn", "size": 5, "alpha": 0.0625, "beta": 0.5, "k": 2.0}, [(4, 3, 3)],
     lambda x: F.local_response_norm(x, 5, alpha=0.0625, beta=0.5, k=2.0))
case("concat", {"kind": "concat"}, [(2, 3, 3), (3, 3, 3), (1, 3, 3)], lambda *x: torch.cat(x, 1))
case("add", {"kind": "add"}, [(2, 3, 4), (2, 3, 4)], lambda a, b: a + b)
case("flatten-chw", {"kind": "flatten", "order": "chw"}, [(3, 2, 4)], lambda x: x.reshape(2, -1, 1, 1))
case("flatten-hwc", {"kind": "flatten", "order": "hwc"}, [(3, 2, 4)], lambda x: x.permute(0, 2, 3, 1).reshape(2, -1, 1, 1))
case("linear", {"kind": "linear", "weight": "weight", "bias": "bias"}, [(5, 1, 1)],
     lambda x, weight, bias: F.linear(x[:, :, 0, 0], weight, bias)[:, :, None, None], {"weight": draw(4, 5), "bias": draw(4)})
case("linear-unbiased", {"kind": "linear", "weight": "weight"}, [(5, 1, 1)],
     lambda x, weight: F.linear(x[:, :, 0, 0], weight)[:, :, None, None], {"weight": draw(4, 5)})
case("softmax", {"kind": "softmax"}, [(4, 3, 3)], lambda x: F.softmax(x, 1))
case("identity", {"kind": "identity"}, [(2, 3, 3)], lambda x: x * 1.0)
case("pad", {"kind": "pad", "padding": [1, 2, 3, 0]}, [(2, 3, 3)], lambda x: F.pad(x, (2, 0, 1, 3)))

out = pathlib.Path(__file__).with_name("ops.json")
out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")))
print(out, out.stat().st_size, "bytes,", len(cases), "cases")

"""Golden numbers of src/compression/cka.rs: linear CKA from centred features, and its unbiased form term by term.

numpy==2.4.6. Run: python tests/golden/cka.py
"""

from itertools import permutations
from pathlib import Path

import numpy as np


def linear(x, y):
    """From features, without any Gram matrix: Kornblith et al. 2019, equation 4 and what follows."""
    x, y = x - x.mean(0), y - y.mean(0)
    norm = lambda a, b: np.linalg.norm(a.T @ b) ** 2
    return norm(x, y) / np.sqrt(norm(x, x) * norm(y, y))


def unbiased(k, l):
    """The U-statistic by its definition: the mean over all quadruples of different images."""
    n = len(k)
    s, t, u, v = np.array(list(permutations(range(n), 4))).T
    return np.mean(k[s, t] * (l[s, t] + l[u, v] - 2 * l[s, u]))


def main():
    rng = np.random.default_rng(7)
    a = (rng.standard_normal((11, 6)) + 2).astype("f4").astype("f8")
    b = np.concatenate([a[:, :3] @ rng.standard_normal((3, 9)), rng.standard_normal((11, 4))], 1)
    b = b.astype("f4").astype("f8")
    k, l = a @ a.T, b @ b.T
    numbers = {
        "linear": linear(a, b),
        "debiased": unbiased(k, l) / np.sqrt(unbiased(k, k) * unbiased(l, l)),
    }
    np.savez_compressed(Path(__file__).with_name("cka.npz"), a=a, b=b, **numbers)
    print(numbers)


if __name__ == "__main__":
    main()

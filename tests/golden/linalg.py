"""Golden decompositions for src/math/linalg.rs and crates/linalg: NumPy's and SciPy's, in 64 bits.

numpy==2.4.6, scipy==1.17.1. Run: python tests/golden/linalg.py

What is unique is kept: values, subspaces (as projectors), solutions; eigenvectors and singular vectors have arbitrary signs.
"""

from pathlib import Path

import numpy as np
import scipy.linalg as sl


def main():
    rng = np.random.default_rng(23)
    golden = {}

    # Symmetric: well-conditioned, Hilbert (condition 1e13), rank 4 of 9, eigenvalues that repeat.
    x = rng.standard_normal((14, 9))
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    symmetric = {
        "full": x.T @ x,
        "indefinite": (lambda a: a + a.T)(rng.standard_normal((7, 7))),
        "hilbert": sl.hilbert(10),
        "deficient": x[:4].T @ x[:4],
        "repeated": rotation @ np.diag([1, 1, 1, 3, 3, 5, 5, 5.0]) @ rotation.T,
    }
    for name, a in symmetric.items():
        a = (a + a.T) / 2
        golden[f"eigh_{name}"] = a
        golden[f"eigh_{name}_values"] = np.linalg.eigvalsh(a)
    values, vectors = np.linalg.eigh(golden["eigh_repeated"])
    # The space of the eigenvalue 5, whatever its basis.
    golden["eigh_repeated_top"] = vectors[:, values > 4] @ vectors[:, values > 4].T

    # Rectangular: tall, wide, rank 3, condition 1e10.
    tall = rng.standard_normal((12, 5))
    low = rng.standard_normal((9, 3)) @ rng.standard_normal((3, 6))
    u, v = np.linalg.qr(rng.standard_normal((10, 6)))[0], np.linalg.qr(rng.standard_normal((6, 6)))[0]
    rectangular = {
        "tall": tall,
        "wide": rng.standard_normal((4, 11)),
        "deficient": low,
        "ill": u @ np.diag(10.0 ** -np.arange(0, 12, 2)) @ v,
    }
    for name, a in rectangular.items():
        b = rng.standard_normal((a.shape[0], 2))
        golden[f"svd_{name}"], golden[f"svd_{name}_b"] = a, b
        golden[f"svd_{name}_s"] = np.linalg.svd(a, compute_uv=False)
        x, _, rank, _ = np.linalg.lstsq(a, b, rcond=1e-7)
        golden[f"svd_{name}_x"], golden[f"svd_{name}_rank"] = x, np.array(rank, dtype=np.int64)
    q, r = np.linalg.qr(tall)
    sign = np.sign(np.diag(r))
    golden["qr_q"], golden["qr_r"] = q * sign, r * sign[:, None]
    golden["basis"] = (lambda q: q @ q.T)(sl.orth(low, rcond=1e-7))

    # Positive definite.
    a, b = golden["eigh_full"], rng.standard_normal((9, 3))
    golden["cholesky_b"] = b
    golden["cholesky_lower"] = np.linalg.cholesky(a)
    golden["cholesky_log_det"] = np.array(np.linalg.slogdet(a)[1])
    golden["cholesky_solution"] = sl.cho_solve(sl.cho_factor(a), b)
    golden["cholesky_inverse"] = np.linalg.inv(a)
    lower = golden["cholesky_lower"]
    golden["triangular_lower"] = sl.solve_triangular(lower, b, lower=True)
    golden["triangular_lower_transposed"] = sl.solve_triangular(lower, b, lower=True, trans="T")
    golden["triangular_upper"] = sl.solve_triangular(lower.T, b)
    golden["triangular_upper_transposed"] = sl.solve_triangular(lower.T, b, trans="T")
    np.savez_compressed(Path(__file__).with_name("linalg.npz"), **golden)


if __name__ == "__main__":
    main()

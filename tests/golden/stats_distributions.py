"""Golden tail probabilities for src/stats/distributions.rs. scipy==1.17.1. Run: python tests/golden/stats_distributions.py

One row a value: the arguments, then SciPy's answer. SciPy's own t for one degree of freedom loses t below 1e-5 (its sf there is
0.5), so that row begins at 1e-4.
"""

from pathlib import Path

import numpy as np
import scipy.special as special
import scipy.stats as st

SMALLEST = 1e-300


def main():
    t = [
        (x, dof, st.t.sf(x, dof))
        for dof in (1, 2, 3, 7.5, 19.5, 30, 100, 1000, 1e4, 1e5)
        for x in (1e-4, 0.1, 0.5, 1, 1.96, 3.2, 5, 9.1, 20, 40, 100, 1e4)
    ]
    f = [
        (x, above, below, st.f.sf(x, above, below))
        for above in (1, 2, 5, 20, 200, 1e4)
        for below in (1, 3, 10, 100, 1e4)
        for x in (1e-6, 0.01, 0.5, 1, 2, 4, 10, 50, 1e3, 1e6)
    ]
    normal = [(x, st.norm.sf(x)) for x in (-38, -10, -3, -1, 0, 0.3, 1, 1.96, 3, 5, 6, 8, 10, 20, 30, 37)]
    gamma = [(x, special.gammaln(x)) for x in (1e-8, 0.01, 0.3, 0.5, 0.9, 1.5, 2.5, 10, 100.5, 5e3, 5000.5, 1e6)]
    density = [
        (x, shape, scale, st.gamma.pdf(x, shape, scale=scale))
        for shape, scale in ((6, 1), (16, 1), (6 / 1.01, 1.01), (2.5, 0.3), (100, 1))
        for x in (1e-3, 0.5, 5, 12, 30)
    ]
    # Probabilities whose quantile is asked for, down to the smallest.
    t_inverse = [
        (p, dof, st.t.isf(p, dof))
        for dof in (1, 3, 11, 100, 1e4)
        for p in (0.4, 0.05, 0.025, 1e-3, 1e-6, 1e-20, 1e-100, SMALLEST)
        if 0 < st.t.isf(p, dof) < np.inf  # SciPy fails at the smallest p of few degrees of freedom
    ]
    normal_inverse = [(p, st.norm.isf(p)) for p in (0.975, 0.4, 0.05, 0.025, 1e-3, 1e-10, 1e-100, SMALLEST)]
    rows = dict(t=t, f=f, normal=normal, ln_gamma=gamma, gamma_pdf=density, t_isf=t_inverse, norm_isf=normal_inverse)
    keep = lambda name, values: [v for v in values if name.endswith(("isf", "gamma", "pdf")) or v[-1] > SMALLEST]
    np.savez_compressed(
        Path(__file__).with_name("stats_distributions.npz"), **{k: np.array(keep(k, v), float) for k, v in rows.items()}
    )


if __name__ == "__main__":
    main()

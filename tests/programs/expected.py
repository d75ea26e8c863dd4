"""What tracejit cannot do yet, or does in another way than by machine code: each such program and why.

A program that is repaired makes its test fail until its name goes from ``FAILS``; a name may have a dtype behind it
(``adam-float32``). ``STATES`` has the programs that run, but not natively: "callback" (some of it through NumPy at run
time) or "unrolled".
"""

from __future__ import annotations

__all__ = ["FAILS", "STATES", "TOO_LONG"]

TOO_LONG = "loops are unrolled, which takes too long to try"  # programs that are not even run

_NAMES = {
    "one more version where a loop has no turn": """
        bezier_curve
    """,
    "reading with a boolean mask": """
        mandelbrot_masks kmeans clean_outliers implied_volatility relative_strength project pagerank
        equalise_histogram rgb_to_hsv erode nbody_arrays lattice_boltzmann heat_with_sources
    """,
    "np.random inside": """
        forest_fire estimate_pi metropolis ising_simulation gibbs_normal bootstrap_interval integrate_ball
        simulated_annealing particle_swarm
    """,
    "np.linalg.solve": """
        logistic_newton efficient_frontier newton_system gauss_newton crank_nicolson
    """,
    "a loop is unrolled: one version for each size": """
        binomial_slices gaussian_elimination rnn_loss fft_radix2 stockham_radix2
    """,
    "np.argsort": """
        nearest_neighbours spearman kruskal nelder_mead
    """,
    "np.where with one argument": """
        dbscan zero_crossings
    """,
    "np.sort": """
        kolmogorov_smirnov jacobi_eigenvalues
    """,
    "computed sizes: a question that cannot be decided": """
        hough_lines csr_matvec
    """,
    "a size that the program computes in its result": """
        birth_death run_length_encode
    """,
    "np.unique": """
        group_means
    """,
    "np.lexsort": """
        convex_hull
    """,
    "a name that is None or a number": """
        trace_spheres
    """,
    "a list as a stack in a loop": """
        simplify_line
    """,
    "np.minimum.at": """
        connected_components
    """,
    "np.median": """
        median_filter
    """,
    "new entries of a dictionary that was given": """
        adam
    """,
    "new attributes of an object that was given": """
        train_layers
    """,
    "np.nonzero": """
        sieve
    """,
    "an object of a class is known by identity: one version for each": """
        run_shallow_water
    """,
    "np.fft.fft": """
        split_step
    """,
    "np.linalg.inv": """
        kalman_track
    """,
    "a list that grows on a condition": """
        find_peaks
    """,
    "np.fft.rfft": """
        short_time_power
    """,
    "a version for an even and one for an odd count: the result is the argument or not": """
        jacobi_2d
    """,
}

FAILS: dict[str, str] = {name: reason for reason, names in _NAMES.items() for name in names.split()}

STATES: dict[str, str] = {}

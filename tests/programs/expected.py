"""What tracejit cannot do yet, or does in another way than by machine code: each such program and why.

A program that is repaired makes its test fail until its name goes from ``FAILS``; a name may have a dtype behind it
(``adam-float32``). ``STATES`` has the programs that run, but not natively: "callback" (some of it through NumPy at run
time) or "unrolled".
"""

from __future__ import annotations

__all__ = ["FAILS", "STATES", "TOO_LONG"]

TOO_LONG = "loops are unrolled, which takes too long to try"  # programs that are not even run

_NAMES = {
    "control flow on data": """
        mandelbrot mandelbrot_complex life_torus sandpile langton_ant kmeans_loops dbscan single_linkage
        histogram max_drawdown implied_volatility bond_yield points_in_polygon closest_pair trace_spheres
        simplify_line floyd_warshall bellman_ford dijkstra prim breadth_first count_triangles otsu_threshold
        floyd_steinberg flood_fill hough_lines gaussian_elimination conjugate_gradient power_iteration
        jacobi_eigenvalues birth_death resample_particles perceptron hopfield sieve digit_sums run_length_encode
        gradient_descent newton_system simplex_method golden_section bfgs lasso lennard_jones_forces shooting
        ising_sweeps radial_distribution smith_waterman needleman_wunsch edit_distance
        longest_common_subsequence knapsack nussinov longest_increasing matrix_chain max_subarray find_peaks
        resample_linear jacobi_2d red_black_sor bubble_sort insertion_sort_rows
    """,
    "loops are unrolled: one version for each size": """
        elementary_automaton pairwise_distances running_moments correlation american_put binomial_slices
        asian_option garch_likelihood loan_schedule distance_transform shortest_paths transitive_closure
        convolve integral_mean matmul lu_in_place cholesky gram_schmidt thomas syrk trisolv durbin
        congruential_pi rnn_loss lstm skip_gram collatz_lengths coprime_table pascal count_partitions crc32
        xorshift magic_trace nbody_pairs lorenz run_shallow_water dynamic_time_warping forward_backward
        fir_filter biquad dft_loops fft_radix2 stockham_radix2 haar_transform goertzel lms_filter jacobi_1d
        gauss_seidel wave_equation adi_step recursive_smoother contract_last_axis prefix_sums symmetrise
        deposit_charge delay_effect
    """,
    "reading with a boolean mask": """
        mandelbrot_masks kmeans clean_outliers relative_strength project pagerank equalise_histogram rgb_to_hsv
        erode nbody_arrays lattice_boltzmann heat_with_sources
    """,
    TOO_LONG: """
        mean_shift covariance_loops bezier_curve bilateral_filter lu_slices householder_qr small_convnet
        conv_backward viterbi vertical_advection
    """,
    "np.random inside": """
        forest_fire estimate_pi metropolis ising_simulation gibbs_normal bootstrap_interval integrate_ball
        simulated_annealing particle_swarm
    """,
    "np.argsort": """
        nearest_neighbours spearman kruskal nelder_mead
    """,
    "np.linalg.solve": """
        logistic_newton efficient_frontier gauss_newton crank_nicolson
    """,
    "np.mgrid": """
        self_organising_map voronoi_labels
    """,
    "np.sort": """
        kolmogorov_smirnov
    """,
    "np.unique": """
        group_means
    """,
    "np.lexsort": """
        convex_hull
    """,
    "np.minimum.at": """
        connected_components
    """,
    "np.median": """
        median_filter
    """,
    "ConcretizationError: a slice bound computed from data gives an array of unknown size (/wor": """
        csr_matvec
    """,
    "new entries of a dictionary that was given": """
        adam
    """,
    "new attributes of an object that was given": """
        train_layers
    """,
    "np.fft.fft": """
        split_step
    """,
    "np.insert": """
        moving_average
    """,
    "np.linalg.inv": """
        kalman_track
    """,
    "np.fft.rfft": """
        short_time_power
    """,
    "np.where with one argument": """
        zero_crossings
    """,
}

FAILS: dict[str, str] = {name: reason for reason, names in _NAMES.items() for name in names.split()}

STATES: dict[str, str] = {}

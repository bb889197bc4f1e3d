"""Critical points of deep-learning losses: find them, save them, count their flat directions exactly.

Use it as `import landscape as ls`. The names of `__all__` are the public interface; each is loaded on first use (PEP 562), so that
the import itself takes no numpy, torch or scipy. `__init__.pyi`, made from the table below, says the same to editors and mypy.

Ten lines of our own do it: lazy_loader would parse the stub at every import, and be one more thing to install.
"""

from importlib import import_module

__version__ = "0.1.0"

# Where every public name is defined; docs/public_names.py makes the stub and the first page of the reference from it.
_HOMES = {
    "errors": ("InputError",),
    "model.problem": ("Problem",),
    "model.objective": ("class_means", "objective"),
    "model.gauge": ("generators", "rotate"),
    "model.gauge_projector": ("orbit_projector",),
    "model.dimensions": ("orbit_dimension", "paper_dimension"),
    "structures.blocks": ("Antiprism", "Bipyramid", "Hamming", "Polygon", "Simplex", "Triangular"),
    "structures.kinds": ("Apex", "Blocks", "Collapse", "Pairs", "Partition", "Zero"),
    "points.point": ("CriticalPoint", "Origin", "Outcome", "load"),
    "points.foreign_weights": ("WeightsLayout", "import_weights"),
    "solver.starts": ("place", "place_reduced"),
    "solver.methods": ("GradientDescent", "LBFGS", "Newton", "PseudoTransient", "Random", "SoftplusContinuation"),
    "solver.run": ("solve",),
    "degeneracy.analysis": ("spectrum",),
    "degeneracy.methods": ("hessian",),
    "degeneracy.proved": ("prove",),
    "proof.certificate": ("check", "save_proof"),
    "catalogue.table": ("AtlasOptions", "atlas"),
    "catalogue.row": ("at_temperature",),
    "catalogue.phase_diagram": ("phase_diagram",),
    "studies.tables": ("prevalence",),
    "studies.prediction.counts": ("predict", "swaps"),
    "studies.heads.capture": ("head_point",),
    "studies.heads.images": ("Images", "cifar10", "digits", "fashion_mnist", "idx_images", "mnist_sample"),
    "studies.heads.recorder": ("HeadRecorder",),
    "studies.heads.standing": ("Lines", "standing"),
    "studies.slices": ("slice_between", "slice_line", "slice_plane"),
    "studies.basins": ("perturb",),
    "sweep.grid": ("read_grid",),
    "sweep.run": ("run_sweep",),
    "sweep.results": ("read_results",),
    "curvature.operators.operator": ("Hessian", "Matrix", "dense"),
    "curvature.operators.algebra": ("Affine", "Compression", "Sum", "to_scipy"),
    "curvature.operators.gauss_newton": ("GaussNewton",),
    "curvature.projection": ("BasisProjector",),
    "curvature.counting.interface": ("nullity",),
    "curvature.counting.dense_and_inertia": ("Dense", "Inertia"),
    "curvature.counting.quotient": ("QuotientCholesky",),
    "curvature.counting.deflation": ("Deflated",),
    "curvature.counting.lowrank": ("LowRank",),
    "curvature.counting.short_recurrence": ("ShortRecurrence",),
    "curvature.counting.locking": ("BlockLanczos",),
    "curvature.spectra.spectrum": ("eigenvalues",),
    "curvature.spectra.extremes": ("Extremes", "extremes"),
    "curvature.spectra.density": ("Quadrature", "density"),
    "curvature.spectra.trace": ("HutchPlusPlus", "trace"),
    "network.loss": ("ModuleLoss", "own_loss"),
    "network.data": ("keywords",),
    "network.checkpoint": ("load_checkpoint",),
    "network.operators": ("ModuleGaussNewton", "ModuleHessian"),
    "network.polishing": ("polish",),
    "network.symmetries": ("symmetries",),
    "network.analysis": ("analyse",),
    "network.point_file": ("load_network_point", "save_network_point"),
    "plot.theme": ("new_figure", "save_figure"),
    "plot.spectrum": ("plot_spectra", "plot_spectrum"),
    "plot.atlas": ("plot_atlas",),
    "plot.phase": ("plot_phase",),
    "plot.slices": ("plot_slice",),
    "plot.point": ("plot_logits", "plot_singular_values", "plot_solve"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Loads a public name on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}; its public names are in landscape.__all__")
    value = globals()[name] = getattr(import_module(f"landscape.{_HOME_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Made by docs/public_names.py from the table in __init__.py."""

from .catalogue.phase_diagram import phase_diagram as phase_diagram
from .catalogue.row import at_temperature as at_temperature
from .catalogue.table import AtlasOptions as AtlasOptions
from .catalogue.table import atlas as atlas
from .curvature.counting.deflation import Deflated as Deflated
from .curvature.counting.dense_and_inertia import Dense as Dense
from .curvature.counting.dense_and_inertia import Inertia as Inertia
from .curvature.counting.interface import nullity as nullity
from .curvature.counting.locking import BlockLanczos as BlockLanczos
from .curvature.counting.lowrank import LowRank as LowRank
from .curvature.counting.quotient import QuotientCholesky as QuotientCholesky
from .curvature.counting.short_recurrence import ShortRecurrence as ShortRecurrence
from .curvature.operators.algebra import Affine as Affine
from .curvature.operators.algebra import Compression as Compression
from .curvature.operators.algebra import Sum as Sum
from .curvature.operators.algebra import to_scipy as to_scipy
from .curvature.operators.gauss_newton import GaussNewton as GaussNewton
from .curvature.operators.operator import Hessian as Hessian
from .curvature.operators.operator import Matrix as Matrix
from .curvature.operators.operator import dense as dense
from .curvature.projection import BasisProjector as BasisProjector
from .curvature.spectra.density import Quadrature as Quadrature
from .curvature.spectra.density import density as density
from .curvature.spectra.extremes import Extremes as Extremes
from .curvature.spectra.extremes import extremes as extremes
from .curvature.spectra.spectrum import eigenvalues as eigenvalues
from .curvature.spectra.trace import HutchPlusPlus as HutchPlusPlus
from .curvature.spectra.trace import trace as trace
from .degeneracy.analysis import spectrum as spectrum
from .degeneracy.methods import hessian as hessian
from .degeneracy.proved import prove as prove
from .errors import InputError as InputError
from .model.dimensions import orbit_dimension as orbit_dimension
from .model.dimensions import paper_dimension as paper_dimension
from .model.gauge import generators as generators
from .model.gauge import rotate as rotate
from .model.gauge_projector import orbit_projector as orbit_projector
from .model.objective import class_means as class_means
from .model.objective import objective as objective
from .model.problem import Problem as Problem
from .network.analysis import analyse as analyse
from .network.checkpoint import load_checkpoint as load_checkpoint
from .network.data import keywords as keywords
from .network.loss import ModuleLoss as ModuleLoss
from .network.loss import own_loss as own_loss
from .network.operators import ModuleGaussNewton as ModuleGaussNewton
from .network.operators import ModuleHessian as ModuleHessian
from .network.point_file import load_network_point as load_network_point
from .network.point_file import save_network_point as save_network_point
from .network.polishing import polish as polish
from .network.symmetries import symmetries as symmetries
from .plot.atlas import plot_atlas as plot_atlas
from .plot.phase import plot_phase as plot_phase
from .plot.point import plot_logits as plot_logits
from .plot.point import plot_singular_values as plot_singular_values
from .plot.point import plot_solve as plot_solve
from .plot.slices import plot_slice as plot_slice
from .plot.spectrum import plot_spectra as plot_spectra
from .plot.spectrum import plot_spectrum as plot_spectrum
from .plot.theme import new_figure as new_figure
from .plot.theme import save_figure as save_figure
from .points.foreign_weights import WeightsLayout as WeightsLayout
from .points.foreign_weights import import_weights as import_weights
from .points.point import CriticalPoint as CriticalPoint
from .points.point import Origin as Origin
from .points.point import Outcome as Outcome
from .points.point import load as load
from .proof.certificate import check as check
from .proof.certificate import save_proof as save_proof
from .solver.methods import LBFGS as LBFGS
from .solver.methods import GradientDescent as GradientDescent
from .solver.methods import Newton as Newton
from .solver.methods import PseudoTransient as PseudoTransient
from .solver.methods import Random as Random
from .solver.methods import SoftplusContinuation as SoftplusContinuation
from .solver.run import solve as solve
from .solver.starts import place as place
from .solver.starts import place_reduced as place_reduced
from .structures.blocks import Antiprism as Antiprism
from .structures.blocks import Bipyramid as Bipyramid
from .structures.blocks import Hamming as Hamming
from .structures.blocks import Polygon as Polygon
from .structures.blocks import Simplex as Simplex
from .structures.blocks import Triangular as Triangular
from .structures.kinds import Apex as Apex
from .structures.kinds import Blocks as Blocks
from .structures.kinds import Collapse as Collapse
from .structures.kinds import Pairs as Pairs
from .structures.kinds import Partition as Partition
from .structures.kinds import Zero as Zero
from .studies.basins import perturb as perturb
from .studies.heads.capture import head_point as head_point
from .studies.heads.images import Images as Images
from .studies.heads.images import cifar10 as cifar10
from .studies.heads.images import digits as digits
from .studies.heads.images import fashion_mnist as fashion_mnist
from .studies.heads.images import idx_images as idx_images
from .studies.heads.images import mnist_sample as mnist_sample
from .studies.heads.recorder import HeadRecorder as HeadRecorder
from .studies.heads.standing import Lines as Lines
from .studies.heads.standing import standing as standing
from .studies.prediction.counts import predict as predict
from .studies.prediction.counts import swaps as swaps
from .studies.slices import slice_between as slice_between
from .studies.slices import slice_line as slice_line
from .studies.slices import slice_plane as slice_plane
from .studies.tables import prevalence as prevalence
from .sweep.grid import read_grid as read_grid
from .sweep.results import read_results as read_results
from .sweep.run import run_sweep as run_sweep

__version__: str
__all__ = [
    "LBFGS",
    "Affine",
    "Antiprism",
    "Apex",
    "AtlasOptions",
    "BasisProjector",
    "Bipyramid",
    "BlockLanczos",
    "Blocks",
    "Collapse",
    "Compression",
    "CriticalPoint",
    "Deflated",
    "Dense",
    "Extremes",
    "GaussNewton",
    "GradientDescent",
    "Hamming",
    "HeadRecorder",
    "Hessian",
    "HutchPlusPlus",
    "Images",
    "Inertia",
    "InputError",
    "Lines",
    "LowRank",
    "Matrix",
    "ModuleGaussNewton",
    "ModuleHessian",
    "ModuleLoss",
    "Newton",
    "Origin",
    "Outcome",
    "Pairs",
    "Partition",
    "Polygon",
    "Problem",
    "PseudoTransient",
    "Quadrature",
    "QuotientCholesky",
    "Random",
    "ShortRecurrence",
    "Simplex",
    "SoftplusContinuation",
    "Sum",
    "Triangular",
    "WeightsLayout",
    "Zero",
    "analyse",
    "at_temperature",
    "atlas",
    "check",
    "cifar10",
    "class_means",
    "dense",
    "density",
    "digits",
    "eigenvalues",
    "extremes",
    "fashion_mnist",
    "generators",
    "head_point",
    "hessian",
    "idx_images",
    "import_weights",
    "keywords",
    "load",
    "load_checkpoint",
    "load_network_point",
    "mnist_sample",
    "new_figure",
    "nullity",
    "objective",
    "orbit_dimension",
    "orbit_projector",
    "own_loss",
    "paper_dimension",
    "perturb",
    "phase_diagram",
    "place",
    "place_reduced",
    "plot_atlas",
    "plot_logits",
    "plot_phase",
    "plot_singular_values",
    "plot_slice",
    "plot_solve",
    "plot_spectra",
    "plot_spectrum",
    "polish",
    "predict",
    "prevalence",
    "prove",
    "read_grid",
    "read_results",
    "rotate",
    "run_sweep",
    "save_figure",
    "save_network_point",
    "save_proof",
    "slice_between",
    "slice_line",
    "slice_plane",
    "solve",
    "spectrum",
    "standing",
    "swaps",
    "symmetries",
    "to_scipy",
    "trace",
]

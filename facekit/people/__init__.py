"""Who is on the photos: faces grouped into people, as functions on arrays.

`cluster` proposes the people, `assign` gives new faces to those there are, and `evaluate_clusters` says how good a
grouping is. Nothing here reads or writes a library.
"""

from facekit.people.assignment import Assignment, Centres, assign, centres
from facekit.people.clustering import METHODS, Method, cluster
from facekit.people.constraints import Conflict, Constraints
from facekit.people.evaluation import ClusterScores, evaluate_clusters
from facekit.people.neighbours import NeighbourCurve, neighbour_curve, suggest_eps

__all__ = [
    "METHODS",
    "Assignment",
    "Centres",
    "ClusterScores",
    "Conflict",
    "Constraints",
    "Method",
    "NeighbourCurve",
    "assign",
    "centres",
    "cluster",
    "evaluate_clusters",
    "neighbour_curve",
    "suggest_eps",
]

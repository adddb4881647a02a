"""Who is on the photos: faces grouped into clusters, clusters turned into people with names.

On arrays: `cluster` proposes the people, `assign` gives new faces to those there are, and `evaluate_clusters` says how
good a grouping is. Of a library: `People` has the verbs, and `records` the nouns. Nothing here reads or writes one.
"""

from facekit.metrics.clusters import ClusterScores, evaluate_clusters
from facekit.people.assignment import Assignment, Centres, assign, centres
from facekit.people.clustering import METHODS, Method, cluster
from facekit.people.constraints import Conflict, Constraints
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

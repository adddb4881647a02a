"""How good a verification or a clustering is, on arrays."""

from facekit.metrics.clusters import ClusterScores, evaluate_clusters
from facekit.metrics.verification import (
    RocCurve,
    accuracy,
    average_precision,
    best_threshold,
    equal_error_rate,
    recall_at,
    roc,
    tar_at_far,
    threshold_at_far,
)

__all__ = [
    "ClusterScores",
    "RocCurve",
    "accuracy",
    "average_precision",
    "best_threshold",
    "equal_error_rate",
    "evaluate_clusters",
    "recall_at",
    "roc",
    "tar_at_far",
    "threshold_at_far",
]

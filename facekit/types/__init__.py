"""The nouns that every room of facekit shares."""

from facekit.types.arrays import Detections, Quality
from facekit.types.people import Person
from facekit.types.photos import Face, Hit, Photo, Probe, Status

__all__ = ["Detections", "Face", "Hit", "Person", "Photo", "Probe", "Quality", "Status"]

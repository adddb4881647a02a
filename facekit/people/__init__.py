"""Who is on the photos of a library: people with names, and the verbs on them.

`facekit.people.base.People` has the verbs. What groups faces on arrays is in `facekit.clustering`, whose names can be
had from here, too.
"""

from facekit.clustering import *  # noqa: F403 - they were here before
from facekit.clustering import __all__ as __all__

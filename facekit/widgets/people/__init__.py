"""People as widgets: cards, a person's faces, the review queue, what was done."""

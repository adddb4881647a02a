"""From pictures of somebody to hits."""

"""How accurate and how fast, and which threshold."""

"""What is open of a library in a folder, and what keeps it in order."""

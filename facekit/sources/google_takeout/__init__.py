"""Google Photos by Takeout: an export's zip files."""

"""Names of faces in XMP: regions in photos and in sidecar files."""

"""Google Photos: what somebody picks."""

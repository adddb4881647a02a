"""Yandex Disk: public links, and one's own disk."""

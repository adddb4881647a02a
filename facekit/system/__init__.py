"""What the operating system gives: threads, forks, worker processes, waiting that ends, files, room on the disk."""

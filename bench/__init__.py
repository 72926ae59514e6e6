"""What kinhteso costs beside its peers: `make bench`. Timings are told, never tested; a wrong result fails the run."""

"""HTTP as all connectors speak it: retries, rates, what may be contacted."""

"""What is written down and passed on: requests, events, results, bundles; each a record that both sides share."""

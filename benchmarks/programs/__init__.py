"""Programs that benchmarks start: bare loops of other clients (URL STREAMS SECONDS), a locustfile, a tokenizer."""

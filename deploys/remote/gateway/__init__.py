"""Programs of the gateway: its processes, its certificates, what its log says of today."""

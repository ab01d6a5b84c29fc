"""Units and their model servers: state, answers, speed, versions and failure logs."""

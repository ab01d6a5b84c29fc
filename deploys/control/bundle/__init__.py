"""The offline bundle on the operator's computer: fetched part by part, sealed and checked."""

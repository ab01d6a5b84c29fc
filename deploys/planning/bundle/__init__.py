"""The offline bundle: what machines need of elsewhere, and where it lies in one folder."""

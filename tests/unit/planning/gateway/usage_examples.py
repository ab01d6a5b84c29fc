"""What one user has asked of one model in one month."""

from __future__ import annotations

ROW = {
    "month": "2026-11",
    "user": "alice",
    "team": "research",
    "model": "r1",
    "answers": 2,
    "estimated": 0,
    "tokens_in": 1000,
    "tokens_out": 500,
    "ms": 61_500,
}

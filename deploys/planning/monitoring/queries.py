"""What is shown of machines, cards, models and teams: PromQL, by name."""

from __future__ import annotations

from collections.abc import Mapping

from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.monitoring.alerts import window


def queries(wanted: Monitoring) -> Mapping[str, str]:
    """Return every query of the page; rates follow the interval between two looks."""
    over = window(wanted)

    def quantile(share: float, what: str) -> str:
        buckets = f"modelrack_{what}_seconds_bucket"
        return f"histogram_quantile({share}, sum by (model, le) (rate({buckets}[{over}])))"

    return {
        # Of machines.
        "up": 'up{job="node"}',
        "cpu": f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{over}]))',
        "memory": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        "disk": "1 - modelrack_models_disk_free_bytes / modelrack_models_disk_size_bytes",
        # Of cards.
        "card": "modelrack_card_up",
        "card use": "modelrack_card_utilization_ratio",
        "card memory": "modelrack_card_memory_used_bytes / modelrack_card_memory_size_bytes",
        "card temperature": 'modelrack_card_temperature_celsius{part="gpu"}',
        "memory temperature": 'modelrack_card_temperature_celsius{part="memory"}',
        "card power": "modelrack_card_power_watts",
        # Of models.
        "copies": 'sum by (proxy) (haproxy_backend_active_servers{proxy=~"service-.*"})',
        "running": "sum by (service) (modelrack:running)",
        "waiting": 'sum by (proxy) (haproxy_backend_current_queue{proxy=~"service-.*"})',
        "waiting in the engine": "sum by (service) (modelrack:waiting)",
        "cache": "max by (service) (modelrack:cache)",
        "written": "sum by (service) (modelrack:written)",
        "read": "sum by (service) (modelrack:read)",
        "first token": quantile(0.5, "first_token"),
        "late first token": quantile(0.95, "first_token"),
        "between tokens": quantile(0.5, "between_tokens"),
        # Of teams, and of their users.
        "team": f"sum by (team) (rate(modelrack_completion_tokens_total[{over}]))",
        "team today": "sum by (team) (increase(modelrack_completion_tokens_total[1d]))"
        " + sum by (team) (increase(modelrack_prompt_tokens_total[1d]))",
        "user today": "topk(12, sum by (team, user) (increase(modelrack_answers_total[1d])))",
    }

"""Finished runs without a folder."""

from eaglebench.report.settings import ScoredRun


def make_run(experts: str, seed: int, chart: float, text: float, **fields: str) -> ScoredRun:
    """A run with scores of two question families."""
    families = {"chart": {"score": chart, "blind": 0.1}, "text": {"score": text, "blind": 0.0}}
    overall = {"score": (chart + text) / 2, "blind": 0.05, "low": 0.2, "high": 0.4}
    setting = {"experts": experts, "llm.depth": "3", **fields}
    return ScoredRun(f"{experts}{seed}", seed, setting, {"overall": overall, "families": families})

"""How far a run is, and what follows from it: the rate, and how many layers there are."""

from __future__ import annotations

from dataclasses import dataclass

from finegrid.pretraining.settings import PretrainSettings

RAMP = 100  # steps after growing, at a rising rate: the moments begin anew


@dataclass(frozen=True)
class PretrainSchedule:
    """Rate and depth by progress: in tokens, the same every time, or in seconds, so that it ends in time."""

    settings: PretrainSettings
    layers: tuple[int, ...]  # of each stage

    def share_done(self, tokens: int, seconds: float) -> float:
        """The share of the run that is done; 1 or more at the end."""
        if self.settings.tokens is not None:
            return tokens / self.settings.tokens
        assert self.settings.seconds is not None  # settings are checked
        return seconds / self.settings.seconds

    def rate(self, done: float, steps_since_growth: int | None) -> float:
        """Linear warmup, then linear decay to 0."""
        warmup = self.settings.warmup
        factor = done / warmup if done < warmup else max(0.0, 1 - done) / (1 - warmup)
        ramp = 1.0 if steps_since_growth is None else min(1.0, (steps_since_growth + 1) / RAMP)
        return self.settings.rate * factor * ramp

    def layers_at(self, done: float) -> int:
        """Stages take equal work each: of time, equal parts; of tokens, parts that fall with their layers."""
        cost = [1.0 if self.settings.tokens is None else 1 / layers for layers in self.layers]
        end = 0.0
        for layers, stage_cost in zip(self.layers, cost, strict=True):
            end += stage_cost / sum(cost)
            if done < end:
                return layers
        return self.layers[-1]

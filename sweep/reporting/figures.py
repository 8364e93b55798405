"""Figures of a report as plotly figures. Pure: DataFrames in, figures out."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from sweep.durations import show_percent
from sweep.records import TrialState

STATE_COLORS = {
    "completed": "#4c78a8",
    "target": "#2ca25f",
    "deadline": "#e6a000",
    "pruned": "#b79a20",
    "diverged": "#b279a2",
    "out_of_memory": "#9d5a8f",
    "failed": "#d62728",
    "timeout": "#d62728",
    "lost": "#7f7f7f",
    "running": "#72b7b2",
}

TICKS = [digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)]  # seconds


def accuracy_against_seconds(trials: pd.DataFrame, target: float, limit_seconds: float) -> go.Figure:
    """Validation accuracy over training seconds, a dot per measured trial, with the target and the limit."""
    measured = trials[trials["accuracy"].notna() & (trials["train_seconds"] > 0)] if len(trials) else trials
    figure = go.Figure()
    for state, group in measured.groupby("state", sort=False) if len(measured) else ():
        figure.add_trace(
            go.Scatter(
                x=group["train_seconds"],
                y=group["accuracy"],
                mode="markers",
                name=TrialState(str(state)).words,
                marker={"size": 10, "color": STATE_COLORS.get(str(state), "#999999"), "opacity": 0.85},
                customdata=group[["trial", "recipe"]],
                hovertemplate="trial %{customdata[0]}: %{y:.2%} in %{x:.1f} s<br>%{customdata[1]}<extra></extra>",
            )
        )
    front = measured[measured["on_front"].astype(bool)].sort_values("train_seconds") if len(measured) else measured
    if len(front) > 1:
        figure.add_trace(_front_line(front))
    figure.add_hline(
        y=target,
        line={"dash": "dash", "color": "#666666", "width": 1},
        annotation_text=f"target {show_percent(target)}",
        annotation_position="top left",
    )
    longest = float(measured["train_seconds"].max()) if len(measured) else 1.0
    if longest > 0.3 * limit_seconds:
        longest = max(longest, limit_seconds)
        figure.add_vline(x=limit_seconds, line={"dash": "dot", "color": "#666666", "width": 1})
        # An annotation's place on a logarithmic axis is given as a logarithm, a line's is not.
        place = {"x": math.log10(limit_seconds), "xanchor": "right", "y": 0, "yref": "paper", "yanchor": "bottom"}
        figure.add_annotation(text=f"limit {limit_seconds:g} s", showarrow=False, **place)
    figure.update_layout(
        template="plotly_white",
        xaxis={
            "title": "training seconds",
            "type": "log",
            "tickvals": TICKS,
            "ticktext": [f"{tick:g}" for tick in TICKS],
        },
        yaxis={"title": "validation accuracy", "tickformat": ".0%"},
        legend={"orientation": "h", "y": 1.08},
        margin={"l": 70, "r": 30, "t": 40, "b": 60},
        height=480,
    )
    return figure


def _front_line(front: pd.DataFrame) -> go.Scatter:
    """Steps through the trials that no other beats in both."""
    return go.Scatter(
        x=front["train_seconds"],
        y=front["accuracy"],
        mode="lines",
        name="front",
        line={"color": "#999999", "width": 1, "shape": "hv"},
        hoverinfo="skip",
    )


def predicted_against_actual_figure(compared: pd.DataFrame) -> go.Figure:
    """Predicted over actual wall seconds of the trials that trained all their epochs; on the line is perfect."""
    both = pd.concat([compared["predicted_seconds"], compared["wall_seconds"]])
    ends = [0.8 * float(both.min()), 1.25 * float(both.max())]
    figure = go.Figure(
        [
            go.Scatter(x=ends, y=ends, mode="lines", line={"color": "#999999", "width": 1}, hoverinfo="skip"),
            go.Scatter(
                x=compared["wall_seconds"],
                y=compared["predicted_seconds"],
                mode="markers",
                marker={"size": 9, "color": "#4c78a8", "opacity": 0.85},
                customdata=compared[["trial"]],
                hovertemplate="trial %{customdata[0]}: predicted %{y:.1f} s, took %{x:.1f} s<extra></extra>",
            ),
        ]
    )
    axis = {"type": "log", "tickvals": TICKS, "ticktext": [f"{tick:g}" for tick in TICKS]}
    figure.update_layout(
        template="plotly_white",
        title="Walltime, predicted and actual",
        xaxis={"title": "actual wall seconds", **axis},
        yaxis={"title": "predicted wall seconds", **axis},
        showlegend=False,
        margin={"l": 70, "r": 30, "t": 50, "b": 60},
        height=420,
    )
    return figure

"""Figures of the people in a library: who is alike, when and with whom they were photographed."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.plots.look import BLUE, GRID, SCALE, nothing, on_any_theme, say, shown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    import plotly.graph_objects as go

    from facekit.library.base import Library
    from facekit.people.who import Who
    from facekit.types.people import Person

_YEARS_FROM = 5 * 365  # days: with more, months are too many to see


def similarity_heatmap(lib: Library, people: Sequence[Who] | None = None, *, max_people: int = 40) -> go.Figure:
    """How alike people's faces are on average; who may be the same person stands out.

    Parameters
    ----------
    lib : Library
        Its usable faces are compared.
    people : sequence of Person or str, optional
        Who; by default those with a name and then those with most faces, up to ``max_people``.
    max_people : int
        See ``people``.

    Returns
    -------
    plotly.graph_objects.Figure
        The mean cosine similarity over all pairs of faces, people that are alike beside each other. On the diagonal
        that of a person's own faces, empty for people with one.
    """
    import plotly.graph_objects as go

    who, of_all = _some(lib, people, max_people)
    sums, counts, who = _sums(lib, who)
    if not who:
        return nothing("Nobody is known yet: lib.people.cluster()")
    mean = sums @ sums.T / np.outer(counts, counts)
    own = (np.diag(sums @ sums.T) - counts) / np.maximum(counts * (counts - 1), 1)
    np.fill_diagonal(mean, np.where(counts > 1, own, np.nan))
    order = _alike_together(mean)
    names = _distinct([_name(who[number]) for number in order])
    figure = go.Figure(
        go.Heatmap(
            z=mean[np.ix_(order, order)],
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            colorscale=SCALE,
            colorbar={"title": {"text": "similarity"}, "outlinewidth": 0},
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
            hoverongaps=False,
        )
    )
    on_any_theme(figure)
    say(figure, f"mean cosine similarity between the faces of {_counted(len(who), of_all)}")
    size = 220 + max(18 * len(names), 120)
    figure.update_xaxes(showgrid=False, tickangle=-45, dtick=1)
    figure.update_yaxes(showgrid=False, autorange="reversed", dtick=1, scaleanchor="x", constrain="domain")
    figure.update_xaxes(constrain="domain", type="category")  # also of people called 1, 2 and 10
    figure.update_yaxes(type="category")
    figure.update_layout(height=size, margin={"t": 40})
    return figure


def timeline(lib: Library, person: Who | None = None, *, max_people: int = 30) -> go.Figure:
    """Photos per person over time.

    Parameters
    ----------
    lib : Library
        Whose photos.
    person : Person or str, optional
        One person, as bars; by default several as rows of a heat map.
    max_people : int
        The most rows: those with a name and then those with most faces.

    Returns
    -------
    plotly.graph_objects.Figure
        By month, or by year where the photos span more than five years. Photos without a date are counted above it.
    """
    who, of_all = _some(lib, None if person is None else [person], max_people)
    seen = _seen(lib, who)
    if seen.empty:
        return nothing("Nobody is known yet: lib.people.cluster()")
    dated = seen.dropna(subset="taken_at")
    undated = seen.loc[seen["taken_at"].isna(), "photo"].nunique()
    if dated.empty:
        return nothing(f"None of the {undated:,} photos says when it was taken")
    table, by = _by_time(dated)
    table = table.reindex([one.person_id for one in who if one.person_id in table.index])
    labels = {one.person_id: _name(one) for one in who}
    names = _distinct([labels[key] for key in table.index])
    if person is None:
        figure = _rows_over_time(table, names)
        about = f"photos by {by} of {_counted(len(names), of_all)}"
    else:
        figure = _bars_over_time(table)
        about = f"photos of {names[0]} by {by}"
    figure.update_layout(margin={"t": 40, "b": 40})
    say(figure, about + (f"; {undated:,} of {seen['photo'].nunique():,} photos have no date" if undated else ""))
    return figure


def together(lib: Library, *, max_people: int = 30) -> go.Figure:
    """Who appears with whom: people as dots, and lines between those who share photos, the wider the more.

    Parameters
    ----------
    lib : Library
        Whose photos.
    max_people : int
        The most people: those with a name and then those with most faces.

    Returns
    -------
    plotly.graph_objects.Figure
        A dot's area grows with the person's photos. Pointing at a dot or at the middle of a line says how many photos.
    """
    import plotly.graph_objects as go

    who, of_all = _some(lib, None, max_people)
    seen = _seen(lib, who)
    if seen.empty:
        return nothing("Nobody is known yet: lib.people.cluster()")
    number = {one.person_id: index for index, one in enumerate(who)}
    shared = np.zeros((len(who), len(who)))
    for inside in seen.groupby("photo")["person_id"]:
        for first, second in combinations(sorted({number[key] for key in inside[1]}), 2):
            shared[first, second] += 1
            shared[second, first] += 1
    at = _spring_layout(shared)
    photos = seen.groupby("person_id")["photo"].nunique()
    figure = go.Figure()
    pairs = [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(shared)), strict=True)]
    for width in range(1, 9):
        lines = [pair for pair in pairs if _width(shared[pair], shared.max()) == width]
        xs, ys = ([value for a, b in lines for value in (at[a, axis], at[b, axis], None)] for axis in (0, 1))
        figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": GRID, "width": 1.5 * width}, hoverinfo="skip")
    middles = np.array([(at[a] + at[b]) / 2 for a, b in pairs]).reshape(-1, 2)
    said = [f"{_name(who[a])} and {_name(who[b])}: {_photos(shared[a, b])}" for a, b in pairs]
    figure.add_scatter(x=middles[:, 0], y=middles[:, 1], text=said, mode="markers", marker={"size": 14, "opacity": 0})
    sizes = [float(photos.get(one.person_id, 0)) for one in who]
    figure.add_scatter(
        x=at[:, 0],
        y=at[:, 1],
        mode="markers+text",
        text=[_name(one) for one in who],
        textposition="bottom center",
        customdata=[_photos(size) for size in sizes],
        marker={"size": [10 + 30 * (size / max(sizes)) ** 0.5 for size in sizes], "color": BLUE, "opacity": 1},
        hovertemplate="%{text}: %{customdata}<extra></extra>",
    )
    figure.data[-2].hovertemplate = "%{text}<extra></extra>"
    on_any_theme(figure)
    say(figure, f"who is with whom on photos: {_counted(len(who), of_all)}")
    figure.update_xaxes(visible=False, range=[-1.25, 1.25])
    figure.update_yaxes(visible=False, range=[-1.25, 1.15])
    figure.update_layout(height=620, showlegend=False, margin={"t": 40, "l": 20, "b": 20}, hovermode="closest")
    return figure


# -- what it is drawn from -----------------------------------------------------------------------------------------


def _some(lib: Library, people: Sequence[Who] | None, most: int) -> tuple[list[Person], int]:
    """The people to show, and how many there are."""
    if people is not None:
        who = [lib.people.get(one) for one in people]
        return who, len(who)
    page = lib.people.page(limit=max(1, min(most, 200)))
    return list(page.people), page.total


def _name(person: Person) -> str:
    return shown_name(person.person_id, person.name)


def _counted(shown: int, total: int) -> str:
    return f"{total:,} people" if shown == total else f"{shown:,} of {total:,} people"


def _photos(number: float) -> str:
    return "1 photo" if number == 1 else f"{number:,.0f} photos"


def _seen(lib: Library, who: Sequence[Person]) -> pd.DataFrame:
    """One row a person and photo: person_id, photo, taken_at."""
    frame = lib.people.to_frame()[["person_id", "photo"]].drop_duplicates()
    frame = frame[frame["person_id"].isin([one.person_id for one in who])]
    dates = lib.photos()[["path", "taken_at"]].rename(columns={"path": "photo"})
    return frame.merge(dates, on="photo", how="left")


def _sums(lib: Library, who: list[Person]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], list[Person]]:
    """The sum of each person's embeddings, (P, D), and how many they are; people without any are left out."""
    face_ids, vectors = lib.embeddings()
    owner = lib.people.to_frame().set_index("face_id")["person_id"].to_dict()
    number = {one.person_id: index for index, one in enumerate(who)}
    rows = [(index, number[owner[key]]) for index, key in enumerate(face_ids) if owner.get(key) in number]
    sums = np.zeros((len(who), vectors.shape[1]))
    places = np.array(rows, np.int64).reshape(-1, 2)
    np.add.at(sums, places[:, 1], vectors[places[:, 0]])
    counts = np.bincount(places[:, 1], minlength=len(who)).astype(float)
    kept = counts > 0
    return sums[kept], counts[kept], [one for one, keep in zip(who, kept, strict=True) if keep]


def _alike_together(similarity: npt.NDArray[np.float64]) -> list[int]:
    """An order in which people who are alike stand beside each other (leaves of average linkage)."""
    if len(similarity) < 3:  # noqa: PLR2004 - two have one order
        return list(range(len(similarity)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - similarity
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(np.maximum(distance, 0), checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


def _distinct(names: list[str]) -> list[str]:
    """Names of which no two are equal: plotly puts equal ones into one row."""
    return [name + "\u200b" * names[:index].count(name) for index, name in enumerate(names)]


def _by_time(seen: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Photos by person (rows) and month or year (columns, none left out), and which of the two it is."""
    import pandas as pd

    yearly = (seen["taken_at"].max() - seen["taken_at"].min()).days > _YEARS_FROM
    period = seen["taken_at"].dt.to_period("Y" if yearly else "M")
    table = pd.crosstab(seen["person_id"], period)
    every = pd.period_range(period.min(), period.max(), freq=period.dt.freq)
    return table.reindex(columns=every, fill_value=0), "year" if yearly else "month"


def _bars_over_time(table: pd.DataFrame) -> go.Figure:
    import plotly.graph_objects as go

    periods = _periods(table)
    width = 900 * (periods.end_time - periods.start_time).total_seconds()  # nine tenths, in ms
    bars = go.Bar(x=periods.start_time, y=table.iloc[0], width=width, offset=0, marker_color=BLUE)
    bars.customdata = _in_words(periods)
    bars.hovertemplate = "%{customdata}: %{y} photos<extra></extra>"
    figure = on_any_theme(go.Figure(bars))
    figure.update_yaxes(title="photos", rangemode="tozero", **_whole(table))
    return figure


def _rows_over_time(table: pd.DataFrame, names: list[str]) -> go.Figure:
    import plotly.graph_objects as go

    periods = _periods(table)
    counts = table.to_numpy(float)
    cells = go.Heatmap(
        z=np.where(counts > 0, counts, np.nan),
        x=[*periods.start_time, periods.end_time[-1]],  # edges
        y=names,
        customdata=np.tile(np.array(_in_words(periods), object), (len(names), 1)),
        zmin=0,
        zmax=counts.max(),
        colorscale=SCALE,
        colorbar={"title": {"text": "photos"}, "outlinewidth": 0, **_whole(table)},
        ygap=2,
        hoverongaps=False,
        hovertemplate="%{y}, %{customdata}: %{z} photos<extra></extra>",
    )
    figure = on_any_theme(go.Figure(cells))
    figure.update_layout(height=170 + max(22 * len(names), 120))
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1, type="category")
    return figure


def _whole(table: pd.DataFrame) -> dict[str, Any]:
    """Ticks at whole numbers: half a photo there is none."""
    return {"dtick": 1} if table.to_numpy().max() <= 10 else {"tickformat": ",d"}  # noqa: PLR2004 - ticks that fit


def _periods(table: pd.DataFrame) -> pd.PeriodIndex:
    import pandas as pd

    return pd.PeriodIndex(table.columns)


def _in_words(periods: pd.PeriodIndex) -> list[str]:
    return list(periods.strftime("%Y" if periods.freqstr.startswith("Y") else "%b %Y"))


def _width(shared: float, most: float) -> int:
    return int(np.ceil(8 * (shared / most) ** 0.5))


def _spring_layout(weights: npt.NDArray[np.float64], steps: int = 300) -> npt.NDArray[np.float64]:
    """Places in -1..1 at which those who are tied stand near each other (Fruchterman and Reingold, 1991)."""
    count = len(weights)
    turn = 2 * np.pi * np.arange(count) / max(count, 1)
    at = np.column_stack([np.cos(turn), np.sin(turn)]) * (count > 1)
    ideal = 1 / np.sqrt(max(count, 1))
    pull = np.sqrt(weights / max(weights.max(), 1))
    for heat in np.linspace(0.1, 0.001, steps):
        away = at[:, None] - at[None]
        distance = np.maximum(np.linalg.norm(away, axis=2), 0.01)
        force = ideal**2 / distance - pull * distance**2 / ideal - 0.05 * distance  # the last keeps islands in sight
        moved = (away * (force / distance)[..., None]).sum(axis=1)
        length = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        at = at + moved / length * np.minimum(length, heat)
    at = at - (at.max(axis=0) + at.min(axis=0)) / 2
    return np.asarray(at / max(np.abs(at).max(), 1e-9))

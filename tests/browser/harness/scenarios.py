"""Traits for the harness: pipelines of several sizes, laid out as in a notebook.

The traits are made here from names and edges, so that the front end is tested against the documented
keys and not against the code that fills them.
"""

import random
import time

from pyplant.notebook.graph.folding import (
    MAX_NODES,
    Fold,
    choose_folding,
    fold_siblings,
    group_labels,
    without_folds,
)
from pyplant.notebook.graph.geometry import compute_geometry, indexed_edges, svg_paths
from pyplant.notebook.graph.layered_layout import arrange
from pyplant.reports.report import Outcome, ReactorEntry, Status

DIGITS = {
    "load_digits": [],
    "clean_images": ["load_digits"],
    "split": ["clean_images"],
    "scale_features": ["split"],
    "train_forest": ["scale_features", "split"],
    "train_linear": ["scale_features", "split"],
    "evaluate": ["train_forest", "train_linear", "split"],
    "report": ["evaluate"],
}
STATES = {
    "load_digits": {"o": "cached", "s": 2.4, "b": 4_400_000},
    "clean_images": {"o": "cached", "s": 0.8, "b": 3_100_000},
    "split": {"o": "ran", "s": 0.041, "b": 3_100_000},
    "scale_features": {"o": "ran", "s": 0.31, "b": 3_100_000},
    "train_forest": {"o": "running", "s": 41.0, "e": 41.0, "p": [["trees", 120, 400]]},
    "train_linear": {"o": "waiting", "s": 3.0},
    "evaluate": {"o": "stale", "s": 1.2, "b": 18_000},
    "report": {"o": "new"},
}
DIFF = """\
@@ -1,4 +1,4 @@
 def train_forest(pipe):
     features, labels = yield pipe.receive("features", "labels")
-    forest = RandomForestClassifier(n_estimators=200)
+    forest = RandomForestClassifier(n_estimators=400)
     pipe.send("forest", forest.fit(features, labels))
"""
_WORDS = {
    "load": ["orders", "clicks", "users", "stock", "weather", "prices", "images", "labels"],
    "clean": ["orders", "clicks", "users", "stock", "weather", "prices", "images"],
    "join": ["orders_users", "clicks_users", "stock_prices", "weather_stock"],
    "features": ["basket", "session", "season", "trend", "text", "image"],
    "train": ["forest", "boosted_trees", "linear", "network", "ranker"],
    "evaluate": ["forest", "boosted_trees", "linear", "network", "ranker"],
    "plot": ["errors", "importance", "calibration", "learning_curve"],
}


def traits(
    senders, states=None, *, details=None, version=1, orphans=(), opened=(), run=None, stacked=False, **graph
):
    """The three traits for reactors with their senders and states; times are given as ages."""
    names = list(senders)
    ids = {name: f"n{number}" for number, name in enumerate(names)}
    states = states or dict.fromkeys(names, {"o": "cached", "s": 1.0, "b": 1000})
    now = time.time()
    known = {
        ids[name]: {"f": now - 7200 if "s" in state else 0, "t": now - 12, **state}
        for name, state in states.items()
    }
    receivers = {name: [other for other in names if name in senders[other]] for name in names}
    nodes = {
        ids[name]: {
            "name": name,
            "where": f"cell [{ids[name][1:]}]",
            "group": "",
            "orphan": name in orphans,
            "inputs": [[_ingredient(sender), ids.get(sender)] for sender in senders[name]],
            "outputs": [[_ingredient(name), "array", states[name].get("b", 0)]],
            "used_by": [ids[other] for other in receivers[name]],
            "run": f"plant.run_reactor({name!r})",
        }
        for name in names
    }
    edges = {name: {sender: [_ingredient(sender)] for sender in senders[name]} for name in names}
    flowing = indexed_edges(names, edges)
    views = {"all": _view(compute_geometry(names, flowing, without_folds(len(names)), arrange))}
    if len(names) > MAX_NODES:
        outcomes = [Outcome(states[name]["o"]) for name in names]
        folding = choose_folding(
            outcomes, list(flowing), group_labels(names), {names.index(name) for name in opened}
        )
        views["focus"] = _view(compute_geometry(names, flowing, folding, arrange))
    elif stacked:
        views["focus"] = _view(compute_geometry(names, flowing, fold_siblings(names, list(flowing)), arrange))
    return {
        "graph": {
            "version": version,
            "plant": "digits.plant",
            "snapshot": "picture",
            "kernel": "1234-abcd",
            "nodes": nodes,
            "views": views,
            "view": "focus" if "focus" in views else "all",
            "unfolded": bool(opened),
            **graph,
        },
        "state": {
            "seq": 1,
            "version": version,
            "run": run,
            "target": "report",
            "now": now,
            "checked": True,
            "title": _title(states),
            "nodes": known,
        },
        "details": {ids[name]: detail for name, detail in (details or {}).items()},
    }


def _ingredient(name):
    return f"{name}_out"


def _title(states):
    return Status(tuple(ReactorEntry(name, Outcome(state["o"])) for name, state in states.items())).title()


def _view(geometry):
    folds = iter(range(len(geometry.boxes)))
    ids = [
        f"f{next(folds)}" if isinstance(box.content, Fold) else f"n{box.content}" for box in geometry.boxes
    ]
    places = [[*box.centre, *box.size] for box in geometry.boxes]
    return {
        "size": list(geometry.size),
        "nodes": [
            [id_, *place]
            for id_, place, box in zip(ids, places, geometry.boxes, strict=True)
            if not isinstance(box.content, Fold)
        ],
        "folds": [
            {
                "id": id_,
                "members": [f"n{n}" for n in box.content.members],
                "at": place,
                "label": box.content.label,
            }
            for id_, place, box in zip(ids, places, geometry.boxes, strict=True)
            if isinstance(box.content, Fold)
        ],
        "edges": [
            [ids[edge.source], ids[edge.target], edge.names, *svg_paths(edge.route)]
            for edge in geometry.edges
        ],
    }


def pipeline(count, seed=3):
    """Reactors with realistic names, in stages, each of which receives from a few earlier ones."""
    chance = random.Random(seed)
    kinds = list(_WORDS)
    depth = 7 if count <= 100 else 21
    stages = [[] for _ in range(depth)]
    senders = {}
    for number in range(count):
        stage = number * depth // count
        kind = kinds[stage * len(kinds) // depth]
        name = f"{kind}_{chance.choice(_WORDS[kind])}"
        if name in senders:
            name = f"{name}_{number}"
        before = stages[stage - 1] + (stages[stage - 2][:2] if stage > 1 else []) if stage else []
        place = len(stages[stage]) * len(before) // -(-count // depth)
        near = before[max(0, place - 2) : place + 2]
        senders[name] = chance.sample(near, min(len(near), chance.choice([1, 1, 2, 3])))
        stages[stage].append(name)
    return senders


def after_an_edit(senders, edited, seed=1):
    """States after an edit of one reactor: its receivers are stale, the others cached."""
    chance = random.Random(seed)
    stale = {edited}
    for name, froms in senders.items():
        if stale & set(froms):
            stale.add(name)
    return {
        name: {
            "o": "stale" if name in stale else "cached",
            "sure": name not in stale or name == edited,
            "s": round(chance.lognormvariate(0, 2), 3),
            "b": int(chance.lognormvariate(11, 3)),
        }
        for name in senders
    }


def digits(**more):
    """A small pipeline while a reactor runs."""
    causes = [
        {"text": "code of 'train_forest' changed", "diff": DIFF, "from": None},
        {"text": "input 'scale_features_out' changed", "diff": "", "from": "n3"},
    ]
    details = {
        "train_forest": {
            "causes": causes,
            "error": "",
            "notes": ["joblib.Parallel: state of a process pool"],
        },
        "evaluate": {
            "causes": [{"text": "input 'train_forest_out' changed", "diff": "", "from": "n4"}],
            "error": "",
            "notes": [],
        },
    }
    return traits(DIGITS, STATES, details=details, run=7, **more)


def fan(count=24):
    """A loop of reactors with the same sender and the same receiver, while some of them run."""
    loop = [f"train_fold_{number}" for number in range(count)]
    senders = {"load": [], **dict.fromkeys(loop, ["load"]), "collect": loop, "report": ["collect"]}
    states = {
        name: {"o": "cached", "s": 2.0, "b": 1000} if number <= count // 2 else {"o": "new"}
        for number, name in enumerate(senders)
    }
    states[loop[3]] = states[loop[4]] = {"o": "running", "s": 2.0}
    return traits(senders, states, run=3, stacked=True)


def all_states():
    """Reactors with each status, certain and uncertain, and an orphan."""
    names = [*(outcome.value for outcome in Outcome), "perhaps stale", "an orphan"]
    states = {
        "first": {"o": "cached", "s": 0.2, "b": 100},
        **{outcome.value: {"o": outcome.value, "s": 1.5, "b": 2_000_000} for outcome in Outcome},
        **{name: {"o": name} for name in ("new", "skipped", "failed")},
        "perhaps stale": {"o": "stale", "sure": False, "s": 1.5},
        "an orphan": {"o": "cached", "s": 1.5},
    }
    states["failed"] |= {"w": "ValueError: negative size"}
    states["waiting"] |= {"w": "computed by kernel 4711 on host a"}
    return traits({"first": [], **{name: ["first"] for name in names}}, states, orphans=["an orphan"])


def large(count, edited=None):
    """A large pipeline after an edit in its middle."""
    senders = pipeline(count)
    edited = edited or list(senders)[count * 2 // 3]
    causes = [{"text": "describe() changed", "diff": "-a\n+b\n", "from": None}]
    details = {
        edited: {"cause": ["describe() changed", "code changed"], "causes": causes, "error": "", "notes": []}
    }
    return traits(senders, after_an_edit(senders, edited), details=details)

"""The graph of a plant in a notebook: a picture, and a live widget.

From data to page: ``snapshot`` (status, edges and facts), ``folding`` (which reactors to show), ``layered_layout``,
``graphviz_layout``, ``incremental_layout`` and ``wrapping`` (positions), ``geometry`` (boxes and edges with positions), then ``svg`` (the
picture) or ``payload`` and ``widget`` (the widget, drawn by ``static/``). ``live_state`` follows the
events of a run, ``controller`` connects all of these for one plant, and ``display`` holds one controller
for each plant.
"""

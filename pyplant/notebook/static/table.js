// The table of all reactors, or of those that the filter finds.

import { button, html, setAttributes, setText } from "./dom.js";
import { bytes, duration } from "./format.js";
import { sorted } from "./state.js";

const COLUMNS = ["Reactor", "Status", "Time", "Size"];

/** All reactors as a table: created when it is opened, updated while it is open. */
export class Table {
  constructor(view) {
    Object.assign(this, { view, column: 0, isDown: false, rows: [] });
    this.body = html("tbody");
    this.heads = COLUMNS.map((word, column) =>
      html(
        "th",
        { scope: "col" },
        button(word, `Sort by ${word.toLowerCase()}`, () => this.sortBy(column), "pg-sort"),
      ),
    );
    const table = html("table", html("thead", html("tr", ...this.heads)), this.body);
    const summary = html("summary", "As a table");
    this.element = html("details", { toggle: () => this.draw() }, summary, html("div", table));
  }

  /** Sort by a column; by the same column again, the other way round. */
  sortBy(column) {
    this.isDown = column === this.column ? !this.isDown : column > 1; // the longest and the largest first
    this.column = column;
    this.draw();
  }

  draw() {
    const { view, column, isDown } = this;
    const ids = this.element.open ? sorted(view.graph.ids, view.states, column, isDown) : [];
    this.rows = ids.map((id) => {
      const cells = [0, 1, 2].map(() => html("td"));
      return { id, cells, row: html("tr", html("th", { scope: "row" }, view.panel.link(id)), ...cells) };
    });
    this.body.replaceChildren(...this.rows.map(({ row }) => row));
    for (const [number, head] of this.heads.entries()) {
      setAttributes(head, { "aria-sort": number !== column ? "none" : isDown ? "descending" : "ascending" });
    }
    this.patch();
  }

  patch() {
    for (const { id, cells, row } of this.rows) {
      const { f, s, b } = this.view.states[id] ?? {};
      const texts = [this.view.inWords(id), f ? duration(s ?? 0) : "", bytes(b)];
      for (const [index, cell] of cells.entries()) setText(cell, texts[index]);
      row.hidden = Boolean(this.view.match) && !this.view.match.has(id);
    }
  }
}

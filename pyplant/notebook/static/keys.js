// Keyboard actions as pure functions, and their list, which the "?" button shows.

export const KEYS = [
  ["← →", "follow an edge"],
  ["↑ ↓", "go to the next reactor above or below"],
  ["Page ↑ ↓", "go to the top or the end of the column"],
  ["Home, End", "go to the first or the last reactor"],
  ["Enter, Space", "show the details of a reactor; unfold a group"],
  ["/", "go to the filter; Enter there goes to the first match"],
  ["Escape", "clear the filter, or close what is open"],
  ["?", "show or hide these keys"],
  ["Ctrl + wheel", "zoom"],
];

const BOX_KEYS = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
  PageUp: "top",
  PageDown: "bottom",
  Home: "first",
  End: "last",
  Enter: "open",
  " ": "open",
};

const isPlain = ({ ctrlKey, metaKey }) => !ctrlKey && !metaKey;

/** Return whether a key runs the cell in notebooks: Enter with Shift, Alt, Ctrl or Command. */
const runsCell = (event) => event.key === "Enter" && (event.shiftKey || event.altKey || !isPlain(event));

/** Return the action of a key on a box: "open" or a direction; undefined for other keys. */
export const boxAction = (event) => (isPlain(event) && !runsCell(event) ? BOX_KEYS[event.key] : undefined);

/** Return the action of a key anywhere in the widget, given what has the focus and what is open. */
export function viewAction(event, { isTyping, hasFilter, isOpen }) {
  const { key } = event;
  if (runsCell(event)) return undefined;
  if (key === "Escape") return hasFilter && (isTyping || !isOpen) ? "clear" : "close";
  if (key === "Enter" && isTyping) return "first";
  if (isTyping || !isPlain(event)) return undefined;
  return { "/": "search", "?": "keys" }[key];
}

/**
 * Return whether a key is kept from the page.
 *
 * The notebook has shortcuts of its own (d d deletes the cell). Ctrl+S passes, since it saves the notebook, and so do
 * Shift+Enter and the like, which run the cell.
 */
export const isKept = (event, { isTyping }) => !runsCell(event) && (isPlain(event) || (isTyping && event.key !== "s"));

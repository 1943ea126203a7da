// What keys do, as pure functions, and the list that the "?" button shows.

export const KEYS = [
  ["← →", "follow an edge"],
  ["↑ ↓", "go to the next reactor above or below"],
  ["Enter, Space", "show what is known of a reactor; unfold a group"],
  ["/", "go to the filter; Enter there goes to the first that is found"],
  ["Escape", "clear the filter, or close what is open"],
  ["?", "show or hide these keys"],
  ["Ctrl + wheel", "zoom"],
];

const BOX_KEYS = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
  Enter: "open",
  " ": "open",
};

const isPlain = ({ ctrlKey, metaKey }) => !ctrlKey && !metaKey;

/** What a key does at a box: "open", or a direction; nothing for other keys. */
export const boxAction = (event) => (isPlain(event) ? BOX_KEYS[event.key] : undefined);

/** What a key does anywhere in the widget; the state is whether the filter has the focus and a text, and so on. */
export function viewAction(event, { isTyping, hasFilter, isOpen }) {
  const { key } = event;
  if (key === "Escape") return hasFilter && (isTyping || !isOpen) ? "clear" : "close";
  if (key === "Enter" && isTyping) return "first";
  if (isTyping || !isPlain(event)) return undefined;
  return { "/": "search", "?": "keys" }[key];
}

/**
 * Whether a key is kept from the page.
 *
 * The notebook has keys of its own: d d deletes our cell. What saves the notebook may pass.
 */
export const isKept = (event, { isTyping }) => isPlain(event) || (isTyping && event.key !== "s");

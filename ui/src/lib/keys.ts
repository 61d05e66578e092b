/** Keys that mean something by themselves mean nothing where somebody types, or where a dialog or a menu is open. */

const FIELDS = "input, textarea, select, [role=combobox], [contenteditable]";

export const isTyping = (event: KeyboardEvent) =>
  event.ctrlKey ||
  event.metaKey ||
  event.altKey ||
  (event.target instanceof HTMLElement && event.target.closest(FIELDS) !== null) ||
  document.querySelector("[role=dialog], [role=menu]") !== null;

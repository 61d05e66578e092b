/**
 * Keys that mean something by themselves mean nothing where somebody types, or where a dialog or a menu is open; and nowhere for
 * whoever switched them off, as those do who speak to their machine or press keys by accident (WCAG 2.1.4).
 */

import { useSyncExternalStore } from "react";

/** What takes letters; boxes and dots to tick take none. */
const FIELDS = "input:not([type=radio], [type=checkbox]), textarea, select, [role=combobox], [contenteditable]";
const KEPT = "gatehouse-letters-off";

const listeners = new Set<() => void>();
let isOff = localStorage.getItem(KEPT) !== null;

/** Whether letters are keys. */
export const useLetters = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => !isOff,
  );

export function switchLetters(isOn: boolean) {
  isOff = !isOn;
  if (isOff) localStorage.setItem(KEPT, "");
  else localStorage.removeItem(KEPT);
  for (const listener of listeners) listener();
}

export const isTyping = (event: KeyboardEvent) =>
  isOff ||
  event.ctrlKey ||
  event.metaKey ||
  event.altKey ||
  (event.target instanceof HTMLElement && event.target.closest(FIELDS) !== null) ||
  document.querySelector("[role=dialog], [role=menu]") !== null;

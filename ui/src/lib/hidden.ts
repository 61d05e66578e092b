/**
 * Characters that cannot be seen, or turn around what stands beside them, and spaces that are none to a parser: whatever
 * others wrote is shown for what it is. A carriage return by itself ends a line to a parser, and none on a screen.
 */
export const HIDDEN = /(?!\r\n|[\t\n ])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{DI}]/gu;

export const named = (char: string) => `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** A text with such characters named in brackets. */
export const revealed = (text: string) => text.replace(HIDDEN, (char) => `[${named(char)}]`);

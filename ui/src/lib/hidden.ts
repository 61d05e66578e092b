/**
 * Characters that cannot be seen, or turn around what stands beside them, and spaces that are none to a parser: whatever
 * others wrote is shown for what it is.
 */
export const HIDDEN = /(?![\t\n\r ])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{DI}]/u;

const ALL = new RegExp(HIDDEN.source, "gu");

export const named = (char: string) => `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** A text with such characters named in brackets. */
export const revealed = (text: string) => text.replace(ALL, (char) => `[${named(char)}]`);

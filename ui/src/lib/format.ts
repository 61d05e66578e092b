/** How figures and times are written, everywhere alike. */

import { revealed } from "./hidden";

const NUMBERS = new Intl.NumberFormat("en");
const MOMENTS = new Intl.DateTimeFormat("en", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

export const number = (value: number) => NUMBERS.format(value);

export const plural = (value: number, one: string, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export const moment = (time: string | number | Date) => MOMENTS.format(new Date(time));

const EXACT = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const DATE = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

/** The time of a day to the millisecond, with the day where it is not today. */
export function exact(time: string, now = new Date()): string {
  const at = new Date(time);
  const day = at.toDateString() === now.toDateString() ? "" : `${DATE.format(at)} `;
  return `${day}${EXACT.format(at)}`;
}

/** The hour of a day; with the day where the span is longer than one. */
export const tick = (time: string, hours: number) => (hours > 24 ? DAY : CLOCK).format(new Date(time));

/** A span of seconds in its two largest units. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const units: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  const [large, small] = [units[first], units[first + 1]];
  if (!large) return "0 s";
  const count = Math.floor(whole / large[0]);
  const rest = small ? Math.floor((whole % large[0]) / small[0]) : 0;
  return rest > 0 && small ? `${count} ${large[1]} ${rest} ${small[1]}` : `${count} ${large[1]}`;
}

/** How long ago something was, or how long it still is. */
export function since(time: string, now: number): string {
  const seconds = (now - new Date(time).getTime()) / 1000;
  if (Math.abs(seconds) < 5) return "now";
  return seconds >= 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
}

/** Microseconds, in the unit that shows most. */
export function micros(value: number): string {
  if (value < 1_000) return `${value} µs`;
  if (value < 1_000_000) return `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} ms`;
  return value < 60_000_000 ? `${(value / 1_000_000).toFixed(2)} s` : span(value / 1_000_000);
}

/** A place in a recording, as a clock that began with it. */
export function clock(value: number): string {
  const seconds = value / 1_000_000;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = (seconds % 60).toFixed(3).padStart(6, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

/** One line of a text, for lists. */
export const oneLine = (text: string, length = 240) =>
  revealed(text.slice(0, length * 2).replace(/(?:\r\n|[ \t\n])+/g, " "))
    .trim()
    .slice(0, length);

/** What a bind value is called: by the name that the API gives it (a body over HTTP), or by its number. */
export const bindName = (place: number, names: string[] | undefined) => names?.[place] ?? `$${place + 1}`;

/** What stands before a bind value in a line of text. */
export const bindHead = (place: number, names: string[] | undefined) =>
  `${bindName(place, names)}${names?.[place] === undefined ? " = " : ": "}`;

/** A time as the field of a browser has it. */
export const local = (time: Date) =>
  new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

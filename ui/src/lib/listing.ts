/** A listing of what there may be very much of is drawn in parts, of some pages each: a browser is slow at ten thousand rows. */

/** So many pages are kept and drawn at a time; each is asked for anew when something changes. */
export const PAGES_MAX = 5;

/** Where the next page begins that is drawn with those before it, if there is one. */
export const withThese = (next: number | undefined, pages: number) => (pages < PAGES_MAX ? next : undefined);

/** Where a listing goes on after what is drawn of it, if it does. */
export const restOf = (data: { pages: readonly { next?: number }[] } | undefined) => data?.pages.at(-1)?.next;

/** Before which entry a part begins, as the address has it; the first part begins before none. */
export const beforeOf = (text: string) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined);

/** What of an address stays as it is in another part of the same listing. */
export function partAt(search: URLSearchParams, before: number | undefined): string {
  const next = new URLSearchParams(search);
  if (before === undefined) next.delete("before");
  else next.set("before", String(before));
  return next.toString();
}

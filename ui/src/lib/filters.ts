/** What listings are narrowed by, as the address has it. */

export interface Filters {
  get: (name: string) => string;
  set: (changes: Record<string, string | null>) => void;
}

/** An identity is whole before it is asked about: half of one is a mistake to the gateway. */
export const identityOf = (text: string) => (/^(user|agent):[^\s]+$/.test(text) ? text : undefined);

export interface Times {
  /** Of the last so many hours. */
  hours?: number;
  since?: string;
  until?: string;
}

export const isTime = (text: string) => /^[12]\d{3}-/.test(text) && !Number.isNaN(Date.parse(text));

/** Which time is asked about. */
export function timesOf({ get }: Filters): Times {
  const hours = get("hours");
  const time = (name: string) => (isTime(get(name)) ? get(name) : undefined);
  if (hours === "between") return { since: time("since"), until: time("until") };
  return { hours: /^[1-9]\d{0,5}$/.test(hours) ? Number(hours) : undefined };
}

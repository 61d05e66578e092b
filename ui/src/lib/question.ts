/** What the playground is asked, as a link. */

export interface Question {
  target: string;
  identity: string;
  behalf: string;
  statement: string;
}

/** What was asked stands behind the address's #, which no browser sends anywhere: a link asks it again. */
export function asked(hash: string): Question {
  const given = new URLSearchParams(hash.slice(1));
  const get = (name: string) => given.get(name) ?? "";
  return { target: get("target"), identity: get("identity"), behalf: get("behalf"), statement: get("statement") };
}

/** Where the playground tries a statement. */
export const playground = (question: Partial<Question>) =>
  `/policies/playground#${new URLSearchParams(Object.entries(question).filter(([, value]) => value))}`;

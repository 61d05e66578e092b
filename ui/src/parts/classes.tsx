/** Classes of data that came by, each with how many of its values were masked. */

import type { ReactNode } from "react";
import { number } from "../lib/format";
import { Chip } from "./basics";

interface ClassesProps {
  /** By class; of one whose values were only shown as they are, 0. */
  counts?: Record<string, number>;
  /** What is said where there is none. */
  none?: ReactNode;
}

export function Classes({ counts = {}, none }: ClassesProps) {
  const entries = Object.entries(counts);
  return (
    <span className="row">
      {entries.map(([name, count]) => (
        <Chip key={name}>
          {name} {count === 0 ? "in the clear" : number(count)}
        </Chip>
      ))}
      {entries.length === 0 ? none : null}
    </span>
  );
}

/** Entries, one a row. What stands over a column and what stands in it are written down together, so that neither can move alone. */

import { type Key, memo, type ReactNode } from "react";

export interface Column<T> {
  /** What stands over it. */
  name: string;
  cell: (entry: T) => ReactNode;
  /** Where its head and its cells stand: `end` is at the right, and `far` is only there where there is room. */
  place?: string;
  /** How its cells are set besides: `named` says its name in each cell where a row's cells are one under the other. */
  look?: string;
}

interface GridProps<T> {
  columns: readonly Column<T>[];
  entries: readonly T[];
  keyOf: (entry: T, place: number) => Key;
  /** Whether a narrow screen has the cells of a row one under the other. */
  isStacked?: boolean;
}

export const Grid = <T,>({ columns, entries, keyOf, isStacked }: GridProps<T>) => (
  <table className={isStacked ? "grid stacked" : "grid"}>
    <thead>
      <tr>
        {columns.map(({ name, place }) => (
          <th key={name} className={place} scope="col">
            {name}
          </th>
        ))}
      </tr>
    </thead>
    <tbody>
      {entries.map((entry, place) => (
        <Row key={keyOf(entry, place)} columns={columns} entry={entry} />
      ))}
    </tbody>
  </table>
);

function Drawn<T>({ columns, entry }: { columns: readonly Column<T>[]; entry: T }) {
  return (
    <tr>
      {columns.map(({ name, cell, place, look }) => (
        <td key={name} className={[place, look].filter(Boolean).join(" ") || undefined} data-name={name}>
          {cell(entry)}
        </td>
      ))}
    </tr>
  );
}

/** Drawn anew only when its entry is another: there may be thousands. */
const Row = memo(Drawn) as typeof Drawn;

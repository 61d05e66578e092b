/** Sessions, one a row. */

import type { Session } from "../api/client";
import { number, span } from "../lib/format";
import { Ago, Chip, SessionLink, State, useNow, Who } from "./basics";
import { Classes } from "./classes";
import { type Column, Grid } from "./grid";

const COLUMNS: Column<Session>[] = [
  { name: "Session", look: "tight", cell: (session) => <SessionLink id={session.id} /> },
  { name: "State", look: "tight", cell: (session) => <State word={session.state} /> },
  { name: "Who", cell: (session) => <Who identity={session.identity} behalf={session.on_behalf_of} /> },
  { name: "Target", place: "far", cell: (session) => session.target },
  { name: "Opened", place: "far", look: "tight", cell: (session) => <Ago time={session.opened} /> },
  {
    name: "Lasted",
    place: "far",
    look: "tight",
    cell: (session) =>
      session.closed ? <Lasted from={session.opened} until={session.closed} /> : <LastsNow from={session.opened} />,
  },
  { name: "Operations", place: "end far", cell: (session) => number(session.operations) },
  {
    name: "Refused",
    place: "end",
    cell: (session) => (
      <>
        <span className="narrow">refused </span>
        {session.refused > 0 ? <Chip tone="bad">{number(session.refused)}</Chip> : "0"}
      </>
    ),
  },
  { name: "Rows", place: "end far", cell: (session) => number(session.rows) },
  { name: "Classes", place: "far", cell: (session) => <Classes counts={session.classes} /> },
];

export function SessionTable({ entries }: { entries: Session[] }) {
  if (entries.length === 0) return null;
  return (
    <div className="scroll">
      <Grid columns={COLUMNS} entries={entries} keyOf={(session) => session.id} isStacked />
    </div>
  );
}

const Lasted = ({ from, until }: { from: string; until: string | number }) => {
  const seconds = (new Date(until).getTime() - new Date(from).getTime()) / 1000;
  return seconds < 1 ? "< 1 s" : span(seconds);
};

/** Of a session that goes on, until now. */
const LastsNow = ({ from }: { from: string }) => <Lasted from={from} until={useNow()} />;

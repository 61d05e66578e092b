/** Sessions, one a row. */

import { memo } from "react";
import type { Session } from "../api/client";
import { number, span } from "../lib/format";
import { Ago, Chip, SessionLink, State, useNow, Who } from "./basics";

export function SessionTable({ entries }: { entries: Session[] }) {
  if (entries.length === 0) return null;
  return (
    <div className="scroll">
      <table className="grid">
        <thead>
          <tr>
            <th>Session</th>
            <th>State</th>
            <th>Who</th>
            <th className="far">Target</th>
            <th className="far">Opened</th>
            <th className="far">Lasted</th>
            <th className="end far">Operations</th>
            <th className="end">Refused</th>
            <th className="end far">Rows</th>
            <th className="far">Masked</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((session) => (
            <SessionRow key={session.id} session={session} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const Lasted = ({ from, until }: { from: string; until: string | number }) => {
  const seconds = (new Date(until).getTime() - new Date(from).getTime()) / 1000;
  return seconds < 1 ? "< 1 s" : span(seconds);
};

/** Of a session that goes on, until now. */
const LastsNow = ({ from }: { from: string }) => <Lasted from={from} until={useNow()} />;

/** Drawn anew only when the session is another: there may be thousands. */
const SessionRow = memo(function SessionRow({ session }: { session: Session }) {
  return (
    <tr>
      <td className="tight">
        <SessionLink id={session.id} />
      </td>
      <td className="tight">
        <State word={session.state} />
      </td>
      <td>
        <Who identity={session.identity} behalf={session.on_behalf_of} />
      </td>
      <td className="far">{session.target}</td>
      <td className="tight far">
        <Ago time={session.opened} />
      </td>
      <td className="tight far">
        {session.closed ? <Lasted from={session.opened} until={session.closed} /> : <LastsNow from={session.opened} />}
      </td>
      <td className="end far">{number(session.operations)}</td>
      <td className="end">{session.refused > 0 ? <Chip tone="bad">{number(session.refused)}</Chip> : "0"}</td>
      <td className="end far">{number(session.rows)}</td>
      <td className="far">
        <span className="row">
          {Object.entries(session.classes ?? {}).map(([name, count]) => (
            <Chip key={name}>
              {name} {number(count)}
            </Chip>
          ))}
        </span>
      </td>
    </tr>
  );
});

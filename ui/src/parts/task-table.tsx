/** Tasks, one a row. */

import type { Task } from "../api/client";
import { revealed } from "../lib/hidden";
import { Ago, State, TaskLink, Who } from "./basics";
import { type Column, Grid } from "./grid";

const COLUMNS: Column<Task>[] = [
  { name: "Task", look: "tight", cell: (task) => <TaskLink id={task.id} /> },
  { name: "State", look: "tight", cell: (task) => <State word={task.state} /> },
  { name: "Who", cell: (task) => <Who identity={task.identity} behalf={task.on_behalf_of} /> },
  {
    name: "Reason",
    look: "wide",
    cell: (task) => (
      <span className="clip" title={task.reason}>
        {revealed(task.reason)}
      </span>
    ),
  },
  { name: "Targets", place: "far", cell: (task) => task.targets.join(", ") },
  { name: "Began", place: "far", look: "tight", cell: (task) => <Ago time={task.started} /> },
  {
    name: "Ends",
    look: "tight",
    cell: (task) => (
      <>
        <span className="narrow">{task.ended ? "ended " : "ends "}</span>
        <Ago time={task.ended ?? task.expires} />
      </>
    ),
  },
];

export const TaskTable = ({ entries }: { entries: Task[] }) => (
  <Grid columns={COLUMNS} entries={entries} keyOf={(task) => task.id} isStacked />
);

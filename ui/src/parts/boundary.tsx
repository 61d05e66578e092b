/** Keeps a fault of one page from taking the others along. */

import { Button } from "@mantine/core";
import { Component, type ReactNode } from "react";

interface BoundaryProps {
  /** Where it stands: what fails at one address may work at the next. */
  at: string;
  children: ReactNode;
}

export class Boundary extends Component<BoundaryProps, { fault?: Error }> {
  override state: { fault?: Error } = {};

  override componentDidUpdate(before: BoundaryProps) {
    if (before.at !== this.props.at && this.state.fault) this.setState({ fault: undefined });
  }

  static getDerivedStateFromError(fault: Error) {
    return { fault };
  }

  override render() {
    const { fault } = this.state;
    if (!fault) return this.props.children;
    return (
      <div className="panel">
        <div className="empty" role="alert">
          <strong>This page does not work as it is</strong>
          <p>The gateway may have been renewed since it was opened. ({fault.message})</p>
          <Button variant="default" onClick={() => window.location.reload()}>
            Load it anew
          </Button>
        </div>
      </div>
    );
  }
}

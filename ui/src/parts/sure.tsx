/** Asks whether whoever is about to end something means it, and why. It is there only while it asks, so that it asks anew each time. */

import { Button, Modal, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Trouble } from "./basics";

interface SureProps {
  title: string;
  /** What it would come to. */
  children: ReactNode;
  yes: string;
  no: string;
  isGrave?: boolean;
  act: (reason: string | undefined) => Promise<unknown>;
  close: () => void;
}

export function Sure({ title, children, yes, no, isGrave, act, close }: SureProps) {
  const [reason, setReason] = useState("");
  const doing = useMutation({ mutationFn: () => act(reason.trim() || undefined), onSuccess: close });
  return (
    <Modal opened onClose={close} title={title}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          doing.mutate();
        }}
      >
        <span>{children}</span>
        <TextInput
          label="Why"
          description="For the record, and for whoever it is taken from"
          maxLength={500}
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        {doing.error ? <Trouble error={doing.error} /> : null}
        <div className="row">
          <Button type="submit" color={isGrave ? "red.9" : undefined} loading={doing.isPending}>
            {yes}
          </Button>
          <Button variant="default" onClick={close}>
            {no}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

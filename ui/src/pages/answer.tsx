/** Where a request is answered, and what was answered. */

import { Button, Checkbox, Kbd, NativeSelect, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { Link } from "react-router";
import { api, must, Problem, type Request } from "../api/client";
import { me, replay, request as requestQuery } from "../api/queries";
import { span } from "../lib/format";
import { revealed } from "../lib/hidden";
import { isTyping } from "../lib/keys";
import { type Part, scenes } from "../lib/scenes";
import { Chip, State, Trouble } from "../parts/basics";

/** What became of a request without an answer. */
const UNANSWERED: Record<string, string> = {
  expired: "Nobody answered it in time.",
  withdrawn: "Whoever asked went away, or took it back.",
};

/** Whoever answered goes on from here, without looking for where. */
function Next({ to }: { to: string }) {
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body) link.current?.focus();
  }, []);
  return (
    <Button ref={link} component={Link} to={to} variant="default" size="compact-sm">
      Next request
    </Button>
  );
}

export function Decided({ request, next, draft }: { request: Request; next?: string; draft: string }) {
  const { answered_by: by, answer_reason: reason } = request;
  const approved = [...new Set(Object.values(request.approvals).flat())];
  const isSent = draft === "" || draft === reason;
  return (
    <footer className="decide">
      <State word={request.state} />
      {/* Far from where the answer was given: the second half of a double click must not hit it. */}
      {next ? <Next to={`/requests/${next}`} /> : null}
      <span className="wrap">
        {UNANSWERED[request.state] ?? (approved.length ? approved.join(", ") : by)}
        {reason ? <span className="muted"> &ldquo;{revealed(reason)}&rdquo;</span> : null}
        {request.kind === "operation" && request.state === "used" ? <Outcome request={request} /> : null}
        {isSent ? null : <span className="muted"> What you wrote was not sent: &ldquo;{draft}&rdquo;</span>}
      </span>
    </footer>
  );
}

/** What came of an operation that was approved, in the last word of its answer. */
function Outcome({ request }: { request: Request & { kind: "operation" } }) {
  const query = useInfiniteQuery(replay(request.session));
  const came = useMemo(() => {
    const found = scenes(query.data?.pages.flatMap((page) => page.moments) ?? []);
    return found.find((scene) => scene.asked?.request === request.id)?.parts.findLast(isLastWord);
  }, [query.data, request.id]);
  return (
    <>
      {" "}
      {came?.kind === "problem" ? <Chip tone="bad">failed</Chip> : null}{" "}
      {came ? <span className="mono small">{revealed(came.text.split("\n")[0] ?? "")}</span> : null}{" "}
      <Link to={`/sessions/${request.session}?request=${request.id}`}>What came of it</Link>
    </>
  );
}

const isLastWord = (part: Part): part is Part & { kind: "done" | "problem" } =>
  part.kind === "done" || part.kind === "problem";

type Word = "approve" | "deny";

/** For so long after a request comes into view it takes no answer: what was clicked may have been something else. */
const LOOK_MILLIS = 800;
/** For so long after a letter that nothing took, a letter is a part of what somebody types, in milliseconds. */
const TYPING_MILLIS = 1_500;

function useLooked(): boolean {
  const [isLooked, setLooked] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLooked(true), LOOK_MILLIS);
    return () => clearTimeout(timer);
  }, []);
  return isLooked;
}

/** A letter arms an answer, which waits for its reason in the field. */
function useArmed(can: Record<Word, boolean>, field: RefObject<HTMLInputElement | null>) {
  const [armed, setArmed] = useState<Word>();
  const lettersAt = useRef(0);
  const { approve, deny } = can;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (isTyping(event) || event.key.length > 1) return;
      const key = ({ a: "approve", d: "deny" } as const)[event.key];
      const isWord = Date.now() - lettersAt.current < TYPING_MILLIS;
      if (!key || isWord || !{ approve, deny }[key]) {
        // The letters that follow one which nothing took are no answers either.
        if (!["j", "k"].includes(event.key)) lettersAt.current = Date.now();
        return;
      }
      event.preventDefault();
      setArmed(key);
      field.current?.focus();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, [approve, deny, field]);
  return [armed, setArmed] as const;
}

interface Terms {
  targets?: string[];
  ttl_secs?: number;
}

const wholeOf = (request: Request): Required<Terms> | undefined =>
  request.kind === "task" ? (request.granted ?? { targets: request.targets, ttl_secs: request.ttl_secs }) : undefined;

/** What was chosen, of what others have not taken away meanwhile. */
function within(terms: Terms, whole: Required<Terms> | undefined): Terms {
  if (!whole) return {};
  const targets = terms.targets?.filter((target) => whole.targets.includes(target));
  return {
    targets: targets?.length ? targets : undefined,
    ttl_secs: terms.ttl_secs === undefined ? undefined : Math.min(terms.ttl_secs, whole.ttl_secs),
  };
}

/** Times that a task is granted for in place of what was asked, in seconds. */
const GRANTED_SECS = [14_400, 3_600, 1_800, 900];

/** Gives an answer, and says what came of it. */
function useAnswer(request: Request, reason: string, terms: Terms, settled: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (word: Word) => {
      const body = word === "approve" ? { reason, ...within(terms, wholeOf(request)) } : { reason };
      return must(api.POST(`/api/v1/requests/{id}/${word}`, { params: { path: { id: request.id } }, body }));
    },
    onSuccess: ({ request: after, still_needs }, word) => {
      client.setQueryData(requestQuery(request.id).queryKey, after);
      void client.invalidateQueries({ queryKey: ["requests"] });
      const more = Object.entries(still_needs).map(([group, count]) => `${count} of ${group}`);
      notifications.show({
        color: word === "approve" ? "teal" : "red",
        title: word === "approve" ? "Approved" : "Denied",
        message: more.length ? `It still needs ${more.join(" and ")}.` : `${request.identity} was told.`,
      });
    },
    // Whoever went on to the next hears of it too.
    onError: (error) =>
      notifications.show({
        color: "red",
        autoClose: false,
        title: `${request.id} was not answered`,
        message: Problem.of(error).message,
      }),
    onSettled: settled,
  });
}

/** Why whoever is signed in does not answer, if they do not. */
function useReasonNot(request: Request): string | undefined {
  const who = useQuery(me).data;
  const groups = Object.keys(request.needs);
  if (Object.values(request.approvals).some((users) => users.includes(who?.user ?? ""))) {
    return `You approved it. It still needs others of ${groups.join(" and ")}.`;
  }
  if (!who) return undefined;
  if (who.user === request.identity || who.user === request.on_behalf_of) {
    return "This is your own request: somebody else answers it.";
  }
  return groups.some((group) => who.groups.includes(group)) ? undefined : `It is answered by ${groups.join(" and ")}.`;
}

interface DecideProps {
  request: Request;
  /** Whether there is more of it than was shown. */
  isUnread: boolean;
  reason: string;
  setReason: (reason: string) => void;
}

/** Yes or no, by button or by key: a letter arms the answer, Ctrl and Enter give it. */
export function Decide(props: DecideProps) {
  const reasonNot = useReasonNot(props.request);
  if (reasonNot) return <footer className="decide muted">{reasonNot}</footer>;
  return <Answers {...props} />;
}

function Answers({ request, isUnread, reason, setReason }: DecideProps) {
  const [terms, setTerms] = useState<Terms>({});
  const field = useRef<HTMLInputElement>(null);
  const isLooked = useLooked();
  const can = { approve: isLooked && !isUnread, deny: isLooked };
  const [armed, setArmed] = useArmed(can, field);
  const answer = useAnswer(request, reason, terms, () => setArmed(undefined));
  const words = armed ? `Why? Ctrl+Enter to ${armed}, Esc to go back` : "Reason (the requester reads it)";
  return (
    <footer className="decide">
      {answer.error ? (
        <div style={{ width: "100%" }}>
          <Trouble error={Problem.of(answer.error)} />
        </div>
      ) : null}
      {request.kind === "task" ? <Narrowed request={request} terms={terms} setTerms={setTerms} /> : null}
      <TextInput
        ref={field}
        className="grow"
        aria-label="Reason"
        placeholder={words}
        maxLength={500}
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
        onBlur={() => setArmed(undefined)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
          // Whoever presses Enter has not answered: they may be writing, where they think that nothing listens.
          const isMeant = event.key === "Enter" && (event.ctrlKey || event.metaKey);
          if (isMeant && armed && !answer.isPending) answer.mutate(armed);
        }}
      />
      <Button
        variant={armed === "deny" ? "filled" : "default"}
        color="red.9"
        disabled={answer.isPending || !can.deny}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => answer.mutate("deny")}
        rightSection={<Kbd size="xs">d</Kbd>}
      >
        Deny
      </Button>
      <Button
        className="approve"
        loading={answer.isPending}
        disabled={!can.approve}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => answer.mutate("approve")}
        rightSection={<Kbd size="xs">a</Kbd>}
      >
        Approve
      </Button>
      {isUnread ? <span className="small">Show all of what would run before you approve it.</span> : null}
      <span
        className={armed ? "chip" : "quiet"}
        data-tone={armed === "deny" ? "bad" : "accent"}
        role="status"
        aria-live="assertive"
      >
        {armed ? (armed === "deny" ? "Ctrl+Enter denies" : "Ctrl+Enter approves") : ""}
      </span>
    </footer>
  );
}

/** What of a task is granted: some of its targets, or less time. */
function Narrowed(props: { request: Request & { kind: "task" }; terms: Terms; setTerms: (terms: Terms) => void }) {
  const { request, setTerms } = props;
  const whole = wholeOf(request) ?? { targets: [], ttl_secs: 0 };
  const terms = within(props.terms, whole);
  const times = [whole.ttl_secs, ...GRANTED_SECS.filter((secs) => secs < whole.ttl_secs)];
  return (
    <div className="row" style={{ width: "100%" }}>
      <NativeSelect
        size="xs"
        aria-label="For how long"
        value={String(terms.ttl_secs ?? whole.ttl_secs)}
        onChange={(event) => setTerms({ ...terms, ttl_secs: Number(event.currentTarget.value) })}
        data={times.map((secs) => ({ value: String(secs), label: `for ${span(secs)}` }))}
      />
      {whole.targets.length > 1 ? (
        <Checkbox.Group
          aria-label="On which targets"
          value={terms.targets ?? whole.targets}
          onChange={(targets) => targets.length > 0 && setTerms({ ...terms, targets })}
        >
          <div className="row">
            {whole.targets.map((target) => (
              <Checkbox key={target} size="xs" value={target} label={target} />
            ))}
          </div>
        </Checkbox.Group>
      ) : null}
    </div>
  );
}

/** What a gateway without a target shows: how to add one, and what to type next. */

import { Copy, Heading } from "../parts/basics";

const TARGET = `[targets.shop]
protocol = "postgres"
address = "127.0.0.1:5432"
database = "shop"
user = "gatehouse"
password = "file:shop.secret"

[agents.claude]
groups = ["agents"]`;

const POLICY = `permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read"],
        resource in Target::"shop");

@id("agent-writes") @hold("dba") @reason("agents' writes are read by a person first")
permit (principal in Group::"agents", action in Action::"sql:write", resource in Target::"shop");`;

const Block = ({ text, label }: { text: string; label: string }) => (
  <div className="stack" style={{ gap: 4 }}>
    <pre className="statement">{text}</pre>
    <div className="row">
      <Copy value={text} label={label} />
    </div>
  </div>
);

export function FirstRun() {
  return (
    <>
      <Heading title="Put a database behind Gatehouse" note="This gateway has no target yet." />
      <div className="panel pad">
        <ol className="steps">
          <li>
            <p>
              Name the target in <code className="mono">gatehouse.toml</code>, and an agent that works there. The
              password lies in a file that only the gateway reads:
            </p>
            <Block text={TARGET} label="Copy the configuration" />
          </li>
          <li>
            <p>
              Say in the policies&rsquo; folder what agents may do. What no policy permits is refused; what a policy
              holds waits for a person of that group:
            </p>
            <Block text={POLICY} label="Copy the policies" />
          </li>
          <li>
            <p>Look whether all of it is right. A running gateway takes changed files by itself:</p>
            <Block text="gatehouse check" label="Copy the command" />
          </li>
          <li>
            <p>Work through it:</p>
            <Block
              text={'gatehouse run --target shop --reason "try Gatehouse" -- psql -c "SELECT 1"'}
              label="Copy the command"
            />
          </li>
        </ol>
      </div>
    </>
  );
}

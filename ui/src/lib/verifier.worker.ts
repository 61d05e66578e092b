/** The journal's own verification, in WebAssembly: it calls nobody. */

import wasm from "../wasm/verifier.wasm?url";
import type { Verdict } from "./verify";

interface Verifier {
  memory: WebAssembly.Memory;
  room(bytes: number): number;
  verified(bundle: number, bundleBytes: number, key: number, keyBytes: number): number;
}

async function verdict(bundle: File, key: string): Promise<Verdict> {
  const { instance } = await WebAssembly.instantiateStreaming(fetch(wasm));
  const { memory, room, verified } = instance.exports as unknown as Verifier;
  const put = (bytes: Uint8Array): [number, number] => {
    const place = room(bytes.length);
    // Asking for room may have moved the memory.
    new Uint8Array(memory.buffer, place, bytes.length).set(bytes);
    return [place, bytes.length];
  };
  const content = put(new Uint8Array(await bundle.arrayBuffer()));
  const answer = verified(...content, ...put(new TextEncoder().encode(key)));
  const length = new DataView(memory.buffer).getUint32(answer, true);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(memory.buffer, answer + 4, length))) as Verdict;
}

self.onmessage = (message: MessageEvent<{ bundle: File; key: string }>) => {
  const { bundle, key } = message.data;
  verdict(bundle, key).then(
    (found) => self.postMessage(found),
    (error: unknown) => self.postMessage({ fault: `the bundle could not be verified: ${String(error)}` }),
  );
};

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const PACKED_BYTES_MIN = 4096;

/** Lays a packed copy beside each file that is worth it, for the gateway compresses nothing by itself. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    writeBundle({ dir }) {
      const folder = join(dir ?? "dist", "assets");
      for (const name of readdirSync(folder)) {
        const content = readFileSync(join(folder, name));
        if (/\.(js|css|svg|wasm)$/.test(name) && content.length >= PACKED_BYTES_MIN) {
          writeFileSync(join(folder, `${name}.gz`), gzipSync(content, { level: 9 }));
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), packed()],
  // No file is put into another: the page's policy takes no scripts or styles that stand in the page.
  build: { assetsInlineLimit: 0, chunkSizeWarningLimit: 1200, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  server: { proxy: { "/api": process.env.GATEHOUSE_API ?? "http://127.0.0.1:8080" } },
});

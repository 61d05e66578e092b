import "@mantine/core/styles.css";
import "@mantine/charts/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "./app.css";
import { createTheme, MantineProvider, Modal } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { Problem } from "./api/client";
import { Shell } from "./shell";

const theme = createTheme({
  defaultRadius: "md",
  cursorType: "pointer",
  components: {
    // The lock would be a style of the page's own, which its policy does not take.
    Modal: Modal.extend({ defaultProps: { lockScroll: false, centered: true } }),
    TextInput: { defaultProps: { size: "sm" } },
    Select: { defaultProps: { size: "sm" } },
    Button: { defaultProps: { size: "sm" } },
  },
});

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What the gateway refuses it refuses again; what does not answer may come back.
      retry: (failures, error) => Problem.of(error).status === 0 && failures < 3,
    },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <QueryClientProvider client={client}>
          <BrowserRouter>
            <Notifications position="bottom-right" limit={3} />
            <Shell />
          </BrowserRouter>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

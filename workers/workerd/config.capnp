# workerd without wrangler: env.AI is answered by satsuma.
#
#   workerd serve satsuma-workers/workerd/config.capnp
#
# Replace worker.js by your own. SATSUMA_URL and SATSUMA_TOKEN come from the environment.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "satsuma", worker = .satsuma),
    # The default network refuses private addresses, loopback among them.
    (name = "satsuma-network", network = (
      allow = ["public", "private"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  bindings = [
    (name = "AI", wrapped = (
      moduleName = "cloudflare-internal:ai-api",
      innerBindings = [(name = "fetcher", service = "satsuma")],
    )),
  ],
);

const satsuma :Workerd.Worker = (
  modules = [
    (name = "proxy.js", esModule = embed "../proxy.js"),
    (name = "address.js", esModule = embed "../address.js"),
  ],
  compatibilityDate = "2025-01-01",
  globalOutbound = "satsuma-network",
  bindings = [
    (name = "SATSUMA_URL", fromEnvironment = "SATSUMA_URL"),
    (name = "SATSUMA_TOKEN", fromEnvironment = "SATSUMA_TOKEN"),
  ],
);

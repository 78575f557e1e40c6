// What workers/proxy.js imports of workerd, as far as it uses it.
declare module "cloudflare:workers" {
  export class WorkerEntrypoint<Env = unknown> {
    env: Env;
  }
}

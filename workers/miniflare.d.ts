export interface AiBindingOptions {
  /** Name of the binding. Default: AI */
  binding?: string;
  /** Address; else SATSUMA_URL, else satsuma.json, else http://127.0.0.1:7768 */
  url?: string;
  /** API token; else SATSUMA_TOKEN */
  token?: string;
}

export interface UnsafeBinding {
  name: string;
  type: string;
  plugin: { package: string; name: string };
  options: Record<string, string>;
}

/** `new Miniflare({ ..., unsafeBindings: [ai()] })` */
export function ai(options?: AiBindingOptions): UnsafeBinding;

/** What Miniflare loads. */
export const plugins: Record<string, unknown>;

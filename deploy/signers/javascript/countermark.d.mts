/** The key is either an HMAC-SHA-256 `secret` or an Ed25519 `privateKey`, as base64url from keys.yaml. */
export type SignerOptions = {
  kid: string;
  /** The site's `audience`, or else its name. */
  audience: string;
  /** Scheme and host, such as https://img.example.com. */
  base?: string;
} & ({ secret: string; privateKey?: undefined } | { privateKey: string; secret?: undefined });

export interface UrlOptions {
  /** Whole seconds that the URL lives at most; 3600 unless said. */
  life?: number;
  /**
   * Let it live exactly that long. Otherwise the expiry is rounded down, by a quarter of the life at most, so that one
   * picture has one URL for a while and caches can keep it.
   */
  exact?: boolean;
  /** Unix seconds before which it is refused. */
  notBefore?: number;
  /** Client address or network, in its usual short form: 203.0.113.7, 2001:db8::/56. */
  ip?: string;
  /** The hash that binds the operations of the preset that is named. */
  transformHash?: string;
  /** Unix seconds, in place of the clock. */
  now?: number;
}

/** Signs with one key for one site. Throws (and rejects with) a TypeError for what the gateway would refuse. */
export declare class Signer {
  constructor(options: SignerOptions);
  /** The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture. */
  url(path: string, operations?: Record<string, string | number>, options?: UrlOptions): Promise<string>;
}

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
  /** Unix seconds at which it was signed. */
  issued?: number;
  /** Codes of the countries from which it opens: ["CH", "DE"]. */
  countries?: Iterable<string>;
  /** The session that it lives no longer than. */
  session?: string;
  /** The client whom it is issued to. */
  client?: string;
  /** The user whom it is issued for. */
  user?: string;
  /** What it is made for, such as a campaign. */
  context?: string;
  /** A name of yours for it, by which it can be revoked. */
  jti?: string;
  /** "new" for a URL that opens one time only, or what tells it from others. */
  once?: string;
  /** Unix seconds, in place of the clock. */
  now?: number;
}

/** Signs with one key for one site. Throws (and rejects with) a TypeError for what the gateway would refuse. */
export declare class Signer {
  constructor(options: SignerOptions);
  /** The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture. */
  url(path: string, operations?: Record<string, string | number>, options?: UrlOptions): Promise<string>;
}
